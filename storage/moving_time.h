// storage/moving_time.h — the times of a row that move with the steps of the wall clock, in SQL: what they
// are by the clock as it was set last.
//
// Of a boot whose clock was never set nobody knows: `unknown` stands for them until it is known when the
// clock was set (boots.set_ms), from then on they count as of then.
#pragma once

#define OUTBOXD_MOVED_TIME(wall, boot, boot_ms, unknown)                                          \
  "coalesce((SELECT CASE WHEN offset_ms IS NULL THEN coalesce(set_ms, " unknown ") WHEN " boot_ms \
  " + offset_ms - " wall " NOT BETWEEN -5000 AND 5000 THEN " boot_ms " + offset_ms ELSE " wall    \
  " END FROM boots WHERE number = " boot "), " wall ")"

// Of a row of `outbox` or `dead_letters`.
#define OUTBOXD_ACCEPTED_OR(unknown)                                                      \
  "CASE WHEN synchronised = 0 THEN " OUTBOXD_MOVED_TIME("accepted_ms", "boot", "boot_ms", \
                                                        unknown) " ELSE accepted_ms END"
#define OUTBOXD_ACCEPTED OUTBOXD_ACCEPTED_OR("accepted_ms")
// Of `outbox`.
#define OUTBOXD_REDRIVEN_OR(unknown)                              \
  "CASE WHEN redriven_boot IS NOT NULL THEN " OUTBOXD_MOVED_TIME( \
      "redriven_ms", "redriven_boot", "redriven_boot_ms", unknown) " ELSE redriven_ms END"
#define OUTBOXD_REDRIVEN OUTBOXD_REDRIVEN_OR("redriven_ms")
