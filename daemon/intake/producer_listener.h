// daemon/intake/producer_listener.h — the producer socket: newline-delimited JSON in, one reply a line out
// (docs/protocol.md).
//
// One thread serves all producers. Lines are parsed as they come and handed to the clerk a readful at a time;
// replies go out in the order of the lines, after the commit. A producer that is ahead of the disk, or does
// not read its replies, is no longer read from.
#pragma once

#include <memory>
#include <vector>

#include "config/config.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/metrics.h"
#include "daemon/base/unix_socket.h"
#include "daemon/clerk/submission.h"
#include "daemon/intake/job_reader.h"
#include "daemon/intake/kept_connections.h"

namespace outboxd {

class ProducerListener final : public SubmissionOrigin {
 public:
  using LongestAges = JobReader::LongestAges;
  // Serves the socket. kIo when the system has no descriptor or thread left for it.
  // `kept`: where connections come from and go to that survive the process; null: nowhere.
  static Result<std::unique_ptr<ProducerListener>> Open(UnixListener socket, const LimitsConfig& limits,
                                                        LongestAges ages, Metrics& metrics, Submit submit,
                                                        KeptConnections* kept = nullptr);
  ~ProducerListener() override;

  // Any thread.
  void Configure(const LimitsConfig& limits, LongestAges ages);
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override;
  // Takes no further clients or lines, waits until what was read is answered (at most `patience`), closes or
  // hands over. The clerk must still run.
  void Stop(Milliseconds patience);

 private:
  class Impl;
  ProducerListener();

  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
