// tests/tree/files.h — the files of the tree as text, and findings in them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace outboxd::tree {

// What is wrong and where, one sentence each; empty when nothing is.
using Findings = std::vector<std::string>;

struct File {
  std::string path;  // from the root, with "/"
  std::vector<std::string> lines;
};

File MakeFile(const std::string& path, const std::string& text);
File ReadFile(const std::string& path);

bool IsSource(const std::string& path);         // .h or .cc
std::string FolderOf(const std::string& path);  // the first one: "daemon"

// Every file of ours, by path. What a build or a tool leaves behind is in none of these folders.
const std::vector<File>& Tree();
std::vector<File> Sources();

// "core/job.h:12: "; `line` counts from 0.
std::string Where(const File& file, std::size_t line);

template <typename Rule>
Findings CheckEach(const std::vector<File>& files, Rule rule) {
  Findings all;
  for (const File& file : files) {
    for (std::string& finding : rule(file)) all.push_back(std::move(finding));
  }
  return all;
}

// Fails the test case once for each finding.
void RequireNone(const Findings& findings);

}  // namespace outboxd::tree
