"""Plants one bug after another into a copy of outboxd and demands that the simulation finds each; where the simulation does not reach, a unit test.

    script/planted-bugs [--only NAME] [--runs M] [--check]

Each bug is one text of one source file, white space aside, and what takes its place. --check only looks whether those texts are still there (ctest does).
The copy is built in build/planted; a bug costs one compilation and the seeds until it is found, at most M (3000), or its unit test.
Exit: 0 all were caught, 1 one was not, 2 wrong usage or a text that is no longer there.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "planted"


class Bug(NamedTuple):
    name: str
    file: str
    text: str
    mutation: str
    world: str = ""  # "--hostile": found among hostile producers; else in all kinds of trouble
    test: str = ""  # instead of the simulation the test case of unit_tests whose name begins so has to fail


REPEATS = "track endpoint: a repeat gets the answer whose client had gone"

BUGS = [
    Bug("ack-without-commit", "daemon/clerk/clerk.cc",
        "if (!batch.accepted.empty()) Refuse(done, written.error());",
        "if (!batch.accepted.empty()) ConfirmJobs(done);"),
    Bug("forgotten-fsync", "storage/open.cc", "PRAGMA synchronous = FULL;", "PRAGMA synchronous = NORMAL;"),
    Bug("failed-outcomes-dropped", "daemon/clerk/clerk.cc",
        "  not_healthy_ = written.error().message;\n",
        "  not_healthy_ = written.error().message;\n  pending_.outcomes.clear();\n"),
    Bug("counts-survive-rollback", "storage/counters.cc", "      change.entry->second = *change.before;\n", ""),
    Bug("reused-sequence", "storage/sequences.cc",
        "  sequences.next_ = sequences.reserved_ = static_cast<std::uint64_t>(reserved);",
        "  sequences.reserved_ = static_cast<std::uint64_t>(reserved);\n"
        '  sequences.next_ = 1 + static_cast<std::uint64_t>(*database.Scalar("SELECT coalesce(max(seq), 0) FROM outbox"));'),
    Bug("delivered-job-stays", "storage/outcome_writer.cc", "remove_run_.Run(ToSql(first), ToSql(last))",
        "remove_run_.Run(ToSql(first), ToSql(last) - 1)"),
    Bug("run-takes-a-neighbour", "storage/outcome_writer.cc", "remove_run_.Run(ToSql(first), ToSql(last))",
        "remove_run_.Run(ToSql(first), ToSql(last) + 1)"),
    Bug("attempt-not-recorded", "storage/outcome_writer.cc",
        "    if (!outcome->attempt) continue;\n",
        "    if (!outcome->attempt || outcome->kind == OutcomeKind::kDeferred) continue;\n"),
    Bug("new-id-after-restart", "storage/outbox_reader.cc",
        "std::optional<Ulid> id = Ulid::Parse(row.Text(kJob));",
        "std::optional<Ulid> id = Ulid::Make(queued.stamp.accepted, queued.sequence, 7);"),
    Bug("lane-opened-early", "daemon/delivery/held_jobs.cc",
        "  window_.Settle(job.sequence, *entry);\n",
        "  window_.Settle(job.sequence, *entry);\n  LanesOpened opened;\n"
        "  lanes_.Release(job.sequence, entry->lanes, opened);\n  Open(opened);\n"),
    Bug("claim-keeps-one-lane", "core/job_members.cc", "job.more_customers.push_back(std::move(*lane));", "lane.reset();"),
    Bug("followers-overtake-deferred", "core/lanes.cc", "    lane.troubled = true;\n", "    lane.troubled = true;\n    lane.turn = Sequence{};\n"),
    Bug("stowed-jobs-overtaken", "daemon/delivery/backlog.cc",
        "if (before && *before < sequence) return std::optional(lane);", "if (false) return std::optional(lane);"),
    Bug("lane-opens-past-a-kept-one", "daemon/delivery/backlog.cc", "if (end && sequence > *end) break;\n", ""),
    Bug("claim-leaves-its-other-lane", "daemon/delivery/backlog.cc", "if (goes->others.empty() || held_", "if (true || held_"),
    Bug("outcome-waits-for-ever", "daemon/clerk/clerk.cc",
        "return !may_wait || now < *pending_since_ || now >= *pending_since_ + kOutcomePatience;", "return !may_wait;"),
    Bug("follower-waits-for-company", "daemon/delivery/dispatcher.cc",
        "report.hurries = unhurried_ticket_.has_value();", "report.hurries = false;", test="unhurried outcomes: whoever comes for the same customer has the delivery before him written at once"),
    Bug("bytes-not-counted", "daemon/delivery/window.cc", "  change(counts.bytes, entry.bytes_);\n", "", "--hostile"),
    Bug("share-not-enforced", "daemon/clerk/clerk.cc",
        "!shares.refused.contains(user) && shares.jobs.Allows(user, jobs) &&", "jobs > 0 &&", "--hostile"),
    Bug("parked-jobs-overtaken", "core/lanes.cc",
        "lane.jobs.front() == sequence &&\n         (!lane.parked_from || sequence < *lane.parked_from);", "lane.jobs.front() == sequence;"),
    Bug("merge-keeps-one-lane", "core/job.cc",
        "  for (const std::string& customer : job.more_customers) lanes.push_back(MakeLaneKey(job.connection, customer));\n", ""),
    Bug("two-of-a-lane-in-a-batch", "daemon/delivery/departures.cc",
        "const bool leads = terms.batch.same_lane && entry.lanes.size() == 1 && !IsFence(job);",
        "const bool leads = entry.lanes.size() == 1;"),
    Bug("follower-passes-expired", "daemon/delivery/departures.cc",
        "if (has_lane) lanes.erase(entry->lanes.front());", "if (false) lanes.clear();"),
    Bug("retry-after-ignored", "core/verdict.cc",
        "if (verdict.fate == Fate::kDeferred) verdict.retry_after = RetryAfterOf(answer, policy, now);", ""),
    Bug("late-retry-after-ignored", "core/gate.cc",
        "  not_before_ = std::max(not_before_.value_or(until), until);\n  switch", "  if (snapshot_.state == GateState::kOpen) return;\n  switch",
        test="gate: an old attempt's trouble does not close a gate that has opened since, but for a Retry-After"),
    Bug("retry-after-lost-at-stop", "daemon/delivery/dispatcher.cc", "queue->StopAsking(now, actions);\n      queue->ReportGate(actions);",
        "queue->StopAsking(now, actions);"),
    Bug("paused-connection-sends", "core/gate.cc", "    case GateState::kPaused:\n      return false;\n  }",
        "    case GateState::kPaused:\n      return in_flight == 0;\n  }"),
    Bug("two-probes", "core/gate.cc", "      return !probe_out_;", "      return in_flight < 2;"),
    Bug("rate-limit-ignored", "core/rate_limiter.cc", "return !per_second_ || tokens_ >= kWholeToken;", "return true;"),
    Bug("clock-set-back-stops-sending", "daemon/delivery/connection_queue.cc",
        "  limiter_.Advance(now);", "  if (limiter_.Wait(now).count() > 0) return false;"),
    Bug("deferred-by-the-old-clock", "daemon/delivery/window.cc",
        "return !due || *due > now + longest;", "return !due;"),
    Bug("clock-of-1970-expires", "storage/boots.cc", "clock.IsTrusted() ? 1 : 0", "1"),
    Bug("step-that-ages", "daemon/delivery/window.cc", "if (entry.job) MoveTimes(*entry.job);", "static_cast<void>(entry);"),
    Bug("sends-in-1970", "daemon/delivery/dispatcher.cc", "clock_is_set_ = clock.IsSet();", ""),
    Bug("lost-207-item", "core/batch_verdict.cc", "  if (!errors.astray) return verdict;\n",
        "  if (verdict.refused.size() > 1) verdict.refused.pop_back();\n  if (!errors.astray) return verdict;\n"),
    Bug("207-index-off-by-one", "core/batch_verdict.cc", "    refusal.index = *index;\n",
        "    refusal.index = *index + 1 < count ? *index + 1 : *index;\n"),
    Bug("batch-refused-as-a-whole-dies", "core/batch_verdict.cc",
        "  if (whole.fate == Fate::kRejected && count > 1) whole.fate = Fate::kSplit;\n", ""),
    Bug("full-batch-after-a-closure", "core/batch_switch.cc", "if (!load.is_open) grown_to_ = 1;", ""),
    Bug("batches-for-a-host-without", "core/batch_switch.cc", "  has_route_ = false;\n", ""),
    Bug("gathered-jobs-lost-at-the-switch", "daemon/delivery/departures.cc", "    Disband(jobs);\n    return departure;\n", "    return departure;\n"),
    Bug("one-attempt-too-few", "core/verdict.cc", "if (job.charged >= attempts_max)", "if (job.charged + 1 >= attempts_max)"),
    Bug("expires-early", "core/verdict.cc", "return now - job.AgeStart() >", "return 2 * (now - job.AgeStart()) >"),
    Bug("redriven-jobs-not-read", "daemon/delivery/dispatcher.cc", "queue->backlog().Rewind(from)", "queue->backlog().Rewind(Sequence{ToNumber(from) + 1'000'000})"),
    Bug("throttling-counts-as-refusal", "core/verdict.cc", "    case 425:\n    case 429:\n      return Fate::kDeferred;\n",
        "    case 425:\n      return Fate::kDeferred;\n    case 429:\n      return Fate::kRejected;\n"),
    Bug("outage-charges", "core/ruling.cc",
        "return standing.deliveries > job.deliveries_at_failure.value_or(standing.deliveries_at_sent);",
        "return standing.deliveries + 1 > job.deliveries_at_failure.value_or(standing.deliveries_at_sent);"),
    Bug("charge-forgotten-at-restart", "storage/outbox_reader.cc",
        "queued.deliveries_at_failure = DeliveriesOrNullAt(row, kDeliveriesAtFailure);", ""),
    Bug("deliveries-forgotten-at-restart", "daemon/delivery/connection_queue.cc", "deliveries_ = start.deliveries;", ""),
    Bug("believed-login-page", "core/verdict.cc",
        "if (is_believable && !IsAsExpected(answer, expected)) Disbelieve(verdict, answer);",
        "if (verdict.fate == Fate::kRejected && !IsAsExpected(answer, expected)) Disbelieve(verdict, answer);"),
    Bug("foreign-refusal-believed", "core/ruling.cc",
        "standing.probe == ProbeWord::kWell && jobs == 1 && standing.deliveries > standing.deliveries_at_sent;",
        "standing.probe == ProbeWord::kWell && jobs == 1;"),
    Bug("refused-once-is-enough", "core/ruling.cc", "ruling.refusals >= kRefusalsMax", "ruling.refusals >= 2"),
    Bug("gate-does-not-wait-for-the-probe", "daemon/delivery/connection_queue.cc",
        "if (requests_out_ >= endpoint_->config.max_in_flight || !questions_.empty()) return false;",
        "if (requests_out_ >= endpoint_->config.max_in_flight) return false;"),
    Bug("repeat-through-a-closed-gate", "daemon/delivery/connection_queue.cc",
        "return gate_.TryAdmit(now, static_cast<std::uint32_t>(PlacesTaken())) && limiter_.HasToken();",
        "const auto& held = held_.window().entries();\n"
        "  const bool repeats = std::any_of(held.begin(), held.end(), [](const auto& entry) {\n"
        "    return entry.second.state() == State::kReady && entry.second.job->unanswered > 0;\n"
        "  });\n"
        "  return (gate_.TryAdmit(now, static_cast<std::uint32_t>(PlacesTaken())) || repeats) && limiter_.HasToken();"),
    Bug("repeat-without-a-record", "storage/outcome_writer.cc", "    if (!outcome->attempt) continue;\n",
        "    if (!outcome->attempt || outcome->attempt->result == Fate::kUnanswered) continue;\n"),
    Bug("repeats-without-end", "core/ruling.cc", "job.unanswered < kRepeatsMax", "job.unanswered < 2 * kRepeatsMax"),
    Bug("dead-connection-used-again", "daemon/delivery/departures.cc",
        "return job.unanswered >= kFirstRepeatOnOwn ? Route::kOwn : Route::kPooled;",
        "return job.unanswered > kFirstRepeatOnOwn ? Route::kOwn : Route::kPooled;"),
    Bug("suspect-closes-the-gate", "daemon/delivery/connection_queue.cc",
        "is_suspects || !(verdict.closes_gate || is_repeated_enough)", "!(verdict.closes_gate || is_repeated_enough)"),
    Bug("own-timeout-closes-the-gate", "core/verdict.cc",
        "verdict.fate == Fate::kDeferred && answer.fault != Fault::kOwnTimeout;", "verdict.fate == Fate::kDeferred;",
        test="verdict: no answer defers the job, closes the gate and says why, unless the fault is another's"),
    Bug("deferred-jobs-take-the-room", "daemon/delivery/backlog.cc",
        "return in_turn.jobs < limits_.window_jobs && in_turn.bytes",
        "return held_.window().entries().size() < limits_.window_jobs && in_turn.bytes",
        test="stowed jobs: those that memory keeps take nothing from the window"),
    Bug("read-ahead-of-its-lane", "daemon/delivery/look_ahead.cc", "may_gain && !passed_.MayHaveAny(lanes) &&", "may_gain &&"),
    Bug("nobody-is-read-ahead", "daemon/delivery/look_ahead.cc", "  halted_.reset();\n", "  return {};\n", "--hostile"),
    Bug("crowd-has-every-turn", "daemon/delivery/troubled_users.h",
        "if (users_.size() < kMost) users_.insert(user);", "users_.erase(user);", "--hostile"),
    Bug("repeats-keep-the-probe", "daemon/delivery/departures.cc",
        "std::exchange(repeat_turn_, is_calm || !repeat_turn_) || is_calm;", "std::exchange(repeat_turn_, true) || is_calm;",
        test="departures: a repeat goes first, but while the gate probes every second time alone"),
    Bug("suspect-takes-the-only-place", "daemon/delivery/connection_queue.cc", "return requests_out_ - (is_apart ? 1 : 0);", "return requests_out_ - (is_apart ? 0 : 0);",
        test="suspects: one that hangs leaves the only place that the gate gives to the others"),
    Bug("suspect-forgotten-at-restart", "storage/outbox_reader.cc",
        "queued.suspicion = kNames<Suspicion>.Find(row.Text(kSuspicion)).value_or(Suspicion::kNone);", ""),
    Bug("answered-job-is-matched", "daemon/base/deferred_http_server.cc",
        "return poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;", "return state.fd >= 0;", test=REPEATS),
    Bug("missed-answer-serves-two", "daemon/intake/lost_answers.cc",
        "  bytes_ -= found->bytes();\n  lost_.erase(found);\n", "  found->answer = answer;\n", test=REPEATS),
]


def pattern_of(text):
    """Where the formatter breaks a line is its business: between two tokens there may be any white space, or none."""
    tokens = re.findall(r"\w+|\S", text)
    between = [r"\s+" if one[-1].isalnum() and next_one[0].isalnum() else r"\s*" for one, next_one in zip(tokens, tokens[1:])]
    return re.compile("".join(re.escape(token) + gap for token, gap in zip(tokens, [*between, ""])))


def check():
    stale = []
    for bug in BUGS:
        count = len(pattern_of(bug.text).findall((ROOT / bug.file).read_text()))
        if count != 1:
            stale.append(f"{bug.name}: its text stands {count} times in {bug.file}")
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("*_test.cc"))
    return stale + [f"{bug.name}: there is no test case {bug.test}" for bug in BUGS if bug.test not in tests]


def copy_tree():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, COPY / "source" / name
        if not source.is_file():
            continue
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def build(target):
    if not (COPY / "build" / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "-S", str(COPY / "source"), "-B", str(COPY / "build"), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                        "-DCMAKE_CXX_FLAGS_DEBUG=-O1"], check=True, capture_output=True)
    done = subprocess.run(["cmake", "--build", str(COPY / "build"), "--target", target], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("planted-bugs: the copy does not build:\n" + done.stdout[-3000:])


def simulate(runs, world=""):
    """The first broken promise, or None."""
    program = COPY / "build" / "tests" / "simulation" / "outboxd_simulate"
    done = subprocess.run([str(program), *world.split(), "--seed", "1", "--runs", str(runs)], capture_output=True, text=True)
    broken = re.search(r"^seed .*", done.stderr, re.MULTILINE)
    return broken.group(0) if broken else None if done.returncode == 0 else f"exit {done.returncode}"


def run_test(name):
    """What failed, or None. A name that matches nothing is a failure too."""
    program = COPY / "build" / "tests" / "unit_tests"
    done = subprocess.run([str(program), "-tc=" + name.replace(",", "\\,") + "*"], capture_output=True, text=True)
    if done.returncode == 0 and re.search(r"\b1 passed", done.stdout):
        return None
    return next(iter(re.findall(r"ERROR: .*", done.stdout)), f"exit {done.returncode}")


def fails_unplanted(bugs):
    """What fails without any bug, of what these bugs are to be found by; or None."""
    fails = None
    if not all(bug.test for bug in bugs):
        build("outboxd_simulate")
        fails = simulate(200) or simulate(200, "--hostile")
    for test in sorted({bug.test for bug in bugs if bug.test}):
        build("unit_tests")
        fails = fails or run_test(test)
    return fails


def is_caught(bug, runs):
    file = COPY / "source" / bug.file
    sound = file.read_text()
    started = time.monotonic()
    file.write_text(pattern_of(bug.text).sub(lambda _: bug.mutation, sound))
    try:
        build("unit_tests" if bug.test else "outboxd_simulate")
        found = run_test(bug.test) if bug.test else simulate(runs, bug.world)
    finally:
        file.write_text(sound)
    print(f"{bug.name:32} {found or 'NOT CAUGHT'}  ({time.monotonic() - started:.0f} s)", flush=True)
    return found is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="this bug alone")
    parser.add_argument("--runs", metavar="M", type=int, default=3000, help="seeds until a bug counts as not caught")
    parser.add_argument("--check", action="store_true", help="only look whether the texts are there")
    arguments = parser.parse_args()
    stale = check()
    if stale:
        print("\n".join(stale), file=sys.stderr)
        return 2
    if arguments.check:
        print(f"{len(BUGS)} bugs can be planted")
        return 0
    bugs = [bug for bug in BUGS if arguments.only in (None, bug.name)]
    if not bugs:
        print(f"planted-bugs: there is no bug {arguments.only}", file=sys.stderr)
        return 2
    if os.path.isdir("/dev/shm"):
        os.environ["TMPDIR"] = "/dev/shm"
    copy_tree()
    fails = fails_unplanted(bugs)
    if fails is not None:
        print(f"planted-bugs: without any bug it fails: {fails}", file=sys.stderr)
        return 1
    caught = sum(is_caught(bug, arguments.runs) for bug in bugs)
    print(f"{caught} of {len(bugs)} planted bugs caught")
    return 0 if caught == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
