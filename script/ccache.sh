# shellcheck shell=bash
# Sourced by the scripts that build: a compiler cache, if there is one. It tells a precompiled header by its content, not by its time. This setting goes
# into the build folder with the launcher: without it in the environment of a later build, ccache would pass by whatever uses such a header.
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER="env;CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime;ccache"
fi
