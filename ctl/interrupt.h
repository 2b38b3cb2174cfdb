// ctl/interrupt.h — SIGINT and SIGTERM as a flag that long verbs look at. A second signal ends the program at
// once.
#pragma once

namespace outboxd {

void CatchInterrupts();
bool Interrupted();
void SetInterrupted(bool interrupted);  // for tests

}  // namespace outboxd
