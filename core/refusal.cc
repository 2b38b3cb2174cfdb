#include "core/refusal.h"

#include "core/result.h"

namespace outboxd {

AfterRefusal AfterRefusalOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kBusy:
    case Refusal::kSpoolFull:
    case Refusal::kInternal:
      return AfterRefusal::kTryAgain;
    case Refusal::kForbidden:
      return AfterRefusal::kStop;
    case Refusal::kInvalidJson:
    case Refusal::kInvalidJob:
    case Refusal::kTooLarge:
    case Refusal::kUnknownConnection:
      break;
  }
  return AfterRefusal::kSkip;
}

bool EndsConnection(Refusal refusal) {
  return refusal == Refusal::kTooLarge || refusal == Refusal::kForbidden;
}

Refusal RefusalOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kBusy:
      return Refusal::kBusy;
    case ErrorKind::kFull:
      return Refusal::kSpoolFull;
    case ErrorKind::kInvalid:
    case ErrorKind::kMissing:
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kUnavailable:
    case ErrorKind::kCorrupt:
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      break;
  }
  return Refusal::kInternal;
}

}  // namespace outboxd
