// storage/moving_time.h — the times of a row that move with the steps of the wall clock, in SQL: what they
// are by the clock as it was set last.
//
// Of a boot whose clock was never set nobody knows: `unknown` stands for them until it is known when the
// clock was set (boots.set_ms), from then on they count as of then.
#pragma once

#define OUTBOXD_MOVED_BY(offset, wall, boot_ms)                                                     \
  " WHEN " boot_ms " + " offset " - " wall " NOT BETWEEN -5000 AND 5000 THEN " boot_ms " + " offset \
  " ELSE " wall " END"
#define OUTBOXD_OF_ANY_BOOT(wall, boot, boot_ms, unknown)                       \
  "coalesce((SELECT CASE WHEN offset_ms IS NULL THEN coalesce(set_ms, " unknown \
  ")" OUTBOXD_MOVED_BY("offset_ms", wall, boot_ms) " FROM boots WHERE number = " boot "), " wall ")"
// Most rows are of the newest boot: what is asked of it without looking at the row is asked once.
#define OUTBOXD_NEWEST_BOOTS(column) "(SELECT " column " FROM boots ORDER BY number DESC LIMIT 1)"
#define OUTBOXD_MOVED_TIME(wall, boot, boot_ms, unknown)                                              \
  "CASE WHEN " OUTBOXD_NEWEST_BOOTS("offset_ms") " IS NULL OR " boot " IS NOT " OUTBOXD_NEWEST_BOOTS( \
      "number") " THEN " OUTBOXD_OF_ANY_BOOT(wall, boot, boot_ms, unknown)                            \
      OUTBOXD_MOVED_BY(OUTBOXD_NEWEST_BOOTS("offset_ms"), wall, boot_ms)

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
