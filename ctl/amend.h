// ctl/amend.h — the verb `dead amend`: a corrected line in the place of a dead letter's.
#pragma once

#include "ctl/commands.h"

namespace outboxd {

Action AddAmend(CLI::App& amend, const Context& context);

}  // namespace outboxd
