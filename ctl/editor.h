// ctl/editor.h — a text in the operator's own editor.
#pragma once

#include <string>

#include "core/result.h"

namespace outboxd {

// What `text` is after $VISUAL, or $EDITOR, ended with success. The file in which it is edited is for the
// present user alone, and gone afterwards. kInvalid: none is set; kIo: it failed.
Result<std::string> EditText(const std::string& text);

}  // namespace outboxd
