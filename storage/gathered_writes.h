// storage/gathered_writes.h — the way to files of the connection that writes: SQLite's default VFS, but
// consecutive writes reach the kernel by few calls.
//
// SQLite writes a frame of its WAL by two calls, and a page at a checkpoint by one. Here they are collected
// in one run of bytes a file, as long as each continues the one before, and are handed on when the file is
// synced, measured, truncated, read where the run lies, or no room is left.
//
// What must hold, whatever fails:
// - No frame is visible before it is in the file. The header of the wal-index, which makes frames visible, is
//   written after the WAL was synced; that holds for PRAGMA synchronous = FULL and EXTRA, so the WAL is
//   gathered from when it is seen, and no longer where another value is. Between the two copies of that
//   header SQLite calls xShmBarrier: a run that were there even so is handed on then, or the process ends
//   before anybody sees the frames.
// - No page counts as checkpointed (nBackfill) before it is in the file. A checkpoint that takes over all
//   frames truncates and syncs the file first, and has the error of a late write from there. One that has to
//   leave frames, because somebody reads an older state, does neither: it is known by the lock that it did
//   not get, and its pages are written at once. Only another program's commit within a checkpoint makes one
//   that was not known; should its last write fail as well the process ends, and the WAL still has all.
// - An error of a late write comes back from the next call on that file. A WAL of which bytes were lost so
//   takes nothing more before the transaction has ended; so it cannot commit.
// - What a rolled back transaction left in the run is dropped with its lock: nobody reads it.
// The connections that read have the default VFS: what they may see is in the file.
//
// Verified against SQLite 3.40.1: walFrames(), walIndexWriteHdr() and walCheckpoint() of wal.c, pagerStress()
// of pager.c. Its VFS for Unix writes at most 0x1ffff bytes a call. A device without
// SQLITE_IOCAP_POWERSAFE_OVERWRITE has frames behind the sync; there the WAL is not gathered. There is no
// xFetch, so no memory map that would not see a run.
//
// Threads: any may open; what was opened belongs to the thread of its connection.
#pragma once

#include <string>

struct sqlite3;

namespace outboxd {

// sqlite3_open_v2() with it, over the VFS that is the default now and outlives the connection.
int OpenGathering(const std::string& file, sqlite3** handle, int flags);

}  // namespace outboxd
