# shellcheck shell=bash
# Sourced by the scripts that build: a compiler cache, if there is one. A precompiled header is told by its content, not by its time.
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
fi
