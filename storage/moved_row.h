// storage/moved_row.h — what a job keeps when its row moves between `outbox` and `dead_letters`.
//
// A damaged row may lack what the other table demands: it moves with an empty value instead, so that it does
// not keep what is written beside it from being committed.
#pragma once

#define OUTBOXD_KEPT_COLUMNS \
  "seq, job, connection, type, customer, accepted_ms, line, uid, boot, boot_ms, synchronised"
#define OUTBOXD_KEPT_VALUES                                                                            \
  "seq, ifnull(job, ''), ifnull(connection, ''), ifnull(type, ''), customer, ifnull(accepted_ms, 0), " \
  "ifnull(line, ''), uid, boot, boot_ms, synchronised"
