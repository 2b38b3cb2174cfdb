// storage/open.h — opening the outbox file for writing: settings, identity check, migrations. Used by storage/outbox.cc alone.
#pragma once

#include <filesystem>

#include "core/result.h"
#include "storage/database.h"

namespace outboxd {

// kCorrupt when the file is damaged, not an outbox, or written by a later version; the message says what to do.
Result<Database> OpenForWriting(const std::filesystem::path& file);

}  // namespace outboxd
