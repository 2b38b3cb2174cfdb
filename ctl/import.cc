// outboxctl import: a file of lines, resumable.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include "config/acting_as.h"
#include "config/folder.h"
#include "config/owned_fd.h"
#include "core/duration.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/file_stream.h"
#include "ctl/format.h"
#include "ctl/import_input.h"
#include "ctl/import_state.h"
#include "ctl/importer.h"
#include "ctl/interrupt.h"
#include "ctl/line_reader.h"
#include "ctl/options.h"
#include "ctl/producer_client.h"
#include "ctl/progress.h"

namespace outboxd {
namespace {

using Clock = std::chrono::steady_clock;

struct ImportOptions {
  std::string file;
  std::string rejects;
  std::string wait = "10min";
  std::uint64_t window = 2048;
  bool resume = false;
  bool quiet = false;
};

constexpr std::uint64_t kRefusalsShown = 100;

// One run of the verb: the input, what is kept beside it and what is said about it.
class ImportRun {
 public:
  ImportRun(const Context& context, ImportOptions options)
      : context_(context), options_(std::move(options)) {}
  ImportRun(const ImportRun&) = delete;
  ImportRun& operator=(const ImportRun&) = delete;

  int Run();

 private:
  Result<void> OpenInput();
  Result<void> ExamineInput();
  Result<void> FindStart();
  Result<OwnedFd> MakeRejects() const;
  Result<void> OpenRejects();
  ImportEvents Events();
  void OnRefused(const Refused& refused);
  void OnSettled(const ImportState& state);
  void Save(const ImportState& state);
  void Say(const std::string& text);
  int Finish(const ImportResult& result);
  void PrintSummary(const ImportResult& result) const;

  const Context& context_;
  ImportOptions options_;
  OwnedFd file_;  // none when the input is standard input
  std::optional<ImportInput> input_;
  std::optional<std::uint64_t> bytes_total_;
  std::optional<ImportStateFile> state_file_;  // only for files that can be resumed
  ImportState start_;
  ImportState saved_;
  Clock::time_point saved_at_;
  Clock::time_point started_;
  std::optional<FileStream> rejects_;
  std::optional<Progress> progress_;
  std::uint64_t refusals_shown_ = 0;
  std::string waiting_;
  bool state_is_writable_ = true;
};

void ImportRun::Say(const std::string& text) {
  if (progress_) progress_->Clear();
  context_.console.err << "outboxctl: " << EscapeForTerminal(text) << '\n' << std::flush;
}

Result<void> ImportRun::OpenInput() {
  if (options_.file == "-") {
    if (options_.resume)
      return Fail(ErrorKind::kInvalid, "standard input cannot be resumed: give the file's name");
    input_.emplace(context_.console.in_fd, options_.file);
    return {};
  }
  file_ = OwnedFd(::open(options_.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (file_.get() < 0)
    return Fail(ErrorKind::kInvalid, "cannot open " + options_.file + ": " + std::strerror(errno));
  struct stat info{};
  if (::fstat(file_.get(), &info) != 0 || S_ISDIR(info.st_mode))
    return Fail(ErrorKind::kInvalid, options_.file + " is not a file");
  input_.emplace(file_.get(), options_.file);
  if (!S_ISREG(info.st_mode)) return {};
  bytes_total_ = static_cast<std::uint64_t>(info.st_size);
  state_file_.emplace(options_.file, file_.get());
  return {};
}

// Before anything is made beside the input. An interrupt ends it: the importer finds it and stops.
Result<void> ImportRun::ExamineInput() {
  constexpr Milliseconds kWait{100};
  for (bool is_examined = false; !is_examined && !Interrupted();) {
    ASSIGN_OR_RETURN(is_examined, input_->Examine(kWait));
  }
  return {};
}

Result<void> ImportRun::FindStart() {
  if (!state_file_) return {};
  ASSIGN_OR_RETURN(const std::optional<ImportState> state, state_file_->Load());
  if (!state) {
    if (options_.resume)
      Say("no interrupted import of this file is on record: beginning with its first line");
    return {};
  }
  if (!options_.resume) {
    return Fail(ErrorKind::kInvalid, "an import of this file stopped after line " +
                                         std::to_string(state->lines) + ": go on with --resume, or remove " +
                                         state_file_->path().string() + " to begin anew");
  }
  start_ = saved_ = *state;
  RETURN_IF_ERROR(input_->BeginAt(start_.offset));
  Say("going on after line " + std::to_string(start_.lines));
  return {};
}

// They are lines of the input, so as root they become its owner's, if they may write there.
Result<OwnedFd> ImportRun::MakeRejects() const {
  const std::filesystem::path path = options_.rejects;
  const std::string name = path.filename().string();
  const Existing existing = options_.resume ? Existing::kOpened : Existing::kRefused;
  struct stat input{};
  if (::geteuid() == 0 && ::fstat(input_->fd(), &input) == 0 && S_ISREG(input.st_mode)) {
    const ActingAs owner(input.st_uid);
    const Result<Folder> theirs = Folder::Of(path);
    if (theirs && theirs->IsWritable()) return theirs->Create(name, existing);
  }
  ASSIGN_OR_RETURN(const Folder folder, Folder::Of(path));
  return folder.Create(name, existing);
}

Result<void> ImportRun::OpenRejects() {
  if (options_.rejects.empty()) return {};
  Result<OwnedFd> file = MakeRejects();
  if (!file) return Fail(ErrorKind::kInvalid, "--rejects: " + file.error().message);
  rejects_.emplace(std::move(*file));
  return {};
}

void ImportRun::OnRefused(const Refused& refused) {
  if (rejects_ && !refused.text.empty()) *rejects_ << refused.text << '\n';
  if (++refusals_shown_ > kRefusalsShown) {
    if (refusals_shown_ == kRefusalsShown + 1) Say("further refused lines are counted, not shown");
    return;
  }
  const std::string field = refused.field.empty() ? "" : refused.field + ": ";
  Say("line " + std::to_string(refused.line) + " refused: " + field + refused.message + " (" + refused.code +
      ")");
}

void ImportRun::Save(const ImportState& state) {
  if (!state_file_ || !state_is_writable_ || state.offset == saved_.offset) return;
  if (rejects_) rejects_->flush();
  saved_at_ = Clock::now();
  saved_ = state;
  saved_.packed = input_->packed_bytes();
  if (const Result<void> saved = state_file_->Save(saved_); !saved) {
    state_is_writable_ = false;
    Say(saved.error().message + "; this import cannot be resumed");
  }
}

void ImportRun::OnSettled(const ImportState& state) {
  const Clock::time_point now = Clock::now();
  if (now - saved_at_ >= std::chrono::seconds(1)) Save(state);
  ProgressView view;
  view.accepted = state.accepted;
  view.refused = state.refused;
  view.bytes = input_->packed_bytes().value_or(state.offset);
  view.bytes_total = bytes_total_;
  view.waiting = waiting_;
  progress_->Update(std::move(view), now);
}

ImportEvents ImportRun::Events() {
  ImportEvents events;
  events.refused = [this](const Refused& refused) { OnRefused(refused); };
  events.settled = [this](const ImportState& state) { OnSettled(state); };
  events.waiting = [this](const std::string& why) {
    waiting_ = EscapeForTerminal(why);
    if (!why.empty()) Say("waiting: " + why);
  };
  events.sent_again = [this](std::uint64_t lines) {
    Say(Counted(lines, "line") +
        " went unanswered and will be sent again; those without an event_id may take effect twice");
  };
  return events;
}

void ImportRun::PrintSummary(const ImportResult& result) const {
  const double seconds = std::max(std::chrono::duration<double>(Clock::now() - started_).count(), 1e-6);
  const std::uint64_t lines = result.state.accepted + result.state.refused - start_.accepted - start_.refused;
  if (!context_.globals.json) {
    context_.console.out << FormatCount(static_cast<std::int64_t>(result.state.accepted)) << " accepted, "
                         << FormatCount(static_cast<std::int64_t>(result.state.refused)) << " refused in "
                         << ShowSpan(Milliseconds(static_cast<std::int64_t>(seconds * 1000))) << " ("
                         << FormatRate(static_cast<double>(lines) / seconds) << ")\n";
    return;
  }
  JsonWriter writer;
  writer.Object()
      .Key("done")
      .Bool(result.outcome == ImportOutcome::kDone)
      .Key("accepted")
      .Int(static_cast<std::int64_t>(result.state.accepted));
  writer.Key("refused")
      .Int(static_cast<std::int64_t>(result.state.refused))
      .Key("lines")
      .Int(static_cast<std::int64_t>(result.state.lines));
  writer.Key("bytes")
      .Int(static_cast<std::int64_t>(result.state.offset))
      .Key("seconds")
      .Number(seconds)
      .EndObject();
  PrintJson(context_.console, writer.Text());
}

int ImportRun::Finish(const ImportResult& result) {
  progress_->Clear();
  if (rejects_ && !rejects_->flush())
    Say("the rejected lines could not all be written to " + options_.rejects);
  PrintSummary(result);
  if (result.outcome == ImportOutcome::kDone) {
    if (state_file_) state_file_->Remove();
    return result.state.refused == 0 ? kExitDone : kExitRefused;
  }
  Save(result.state);
  if (result.outcome == ImportOutcome::kGaveUp) Report(context_.console, result.error);
  const std::string where = "stopped after line " + std::to_string(result.state.lines);
  Say(state_file_ && state_is_writable_
          ? where + "; outboxctl import --resume " + options_.file + " goes on there"
          : where);
  return result.outcome == ImportOutcome::kGaveUp ? ExitCodeOf(result.error.kind) : kExitInterrupted;
}

int ImportRun::Run() {
  ImportSettings settings;
  const Result<Milliseconds> wait = ReadDuration(options_.wait);
  if (!wait) return ReportUsage(context_.console, "--wait: " + wait.error().message);
  const Result<std::filesystem::path> socket = ProducerSocket(context_.globals);
  if (!socket) return ReportUsage(context_.console, socket.error().message);
  settings.producer = *socket;
  settings.wait_max = *wait;
  settings.window_lines = options_.window;
  if (Result<ProducerClient> reachable = ProducerClient::Connect(*socket); !reachable)
    return Report(context_.console, reachable.error());
  CatchInterrupts();
  for (auto step :
       {&ImportRun::OpenInput, &ImportRun::ExamineInput, &ImportRun::FindStart, &ImportRun::OpenRejects}) {
    if (const Result<void> done = (this->*step)(); !done) {
      return done.error().kind == ErrorKind::kInvalid ? ReportUsage(context_.console, done.error().message)
                                                      : Report(context_.console, done.error());
    }
  }
  started_ = saved_at_ = Clock::now();
  const auto style = options_.quiet                     ? Progress::Style::kNone
                     : context_.console.err_is_terminal ? Progress::Style::kBar
                                                        : Progress::Style::kLines;
  progress_.emplace(context_.console, style, started_, start_.packed.value_or(start_.offset),
                    start_.accepted + start_.refused);
  LineReader reader(*input_, start_.offset, start_.lines);
  return Finish(Importer(reader, start_, std::move(settings), Events()).Run());
}

int Import(const Context& context, const ImportOptions& options) {
  return ImportRun(context, options).Run();
}

Action AddImport(CLI::App& import, const Context& context) {
  const auto options = std::make_shared<ImportOptions>();
  import.add_option("file", options->file, "The file; - is standard input")->required()->type_name("FILE");
  import.add_flag("--resume", options->resume, "Go on where an interrupted import of this file stopped");
  import
      .add_option("--rejects", options->rejects,
                  "Keep refused lines in this file, which must not exist (but with --resume)")
      ->type_name("FILE");
  import.add_option("--wait", options->wait, "Give up when nothing moves for so long (daemon busy or gone)")
      ->type_name("DURATION")
      ->capture_default_str();
  import.add_option("--window", options->window, "Lines sent without an answer yet")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  import.add_flag("--quiet", options->quiet, "No progress");
  return Running(context, options, Import);
}

constexpr Verb kImportVerbs[] = {
    {"import", "Hand many jobs to the daemon: one JSON object a line", AddImport}};

}  // namespace

std::span<const Verb> ImportVerbs() {
  return kImportVerbs;
}

}  // namespace outboxd
