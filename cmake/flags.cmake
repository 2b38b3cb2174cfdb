# Compiler flags for everything of ours; third-party headers are system headers and keep their own warnings.
add_library(outboxd_flags INTERFACE)
target_include_directories(outboxd_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(outboxd_flags INTERFACE OUTBOXD_VERSION="${PROJECT_VERSION}" ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_compile_options(outboxd_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  -Wimplicit-fallthrough -fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(outboxd_flags INTERFACE -Wthread-safety)
endif()
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # In unity a source is included, and g++ takes it for a header.
  target_compile_options(outboxd_flags INTERFACE -Wno-subobject-linkage)
endif()
# So that a compiler cache can tell precompiled headers by their content (script/ccache.sh).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(outboxd_flags INTERFACE -fpch-preprocess)
else()
  target_compile_options(outboxd_flags INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
endif()
if(OUTBOXD_WERROR)
  target_compile_options(outboxd_flags INTERFACE -Werror)
endif()
if(OUTBOXD_SANITIZE)
  # RapidJSON 1.1.0 adds an offset to its null stack pointer before the first push (internal/stack.h). The check of virtual calls asks a
  # pipe whether memory can be read: it reports a fault when no descriptor is left, which a test brings about.
  target_compile_options(outboxd_flags INTERFACE
    -fsanitize=${OUTBOXD_SANITIZE} -fno-sanitize-recover=all -fno-sanitize=pointer-overflow,vptr)
  target_link_options(outboxd_flags INTERFACE -fsanitize=${OUTBOXD_SANITIZE})
else()
  # glibc fortifies only optimised code, and sanitizers bring their own checks.
  target_compile_options(outboxd_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3> -fstack-clash-protection)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-fcf-protection=full OUTBOXD_HAS_CONTROL_FLOW_PROTECTION)
  if(OUTBOXD_HAS_CONTROL_FLOW_PROTECTION)
    target_compile_options(outboxd_flags INTERFACE -fcf-protection=full)
  endif()
endif()
# In every build: an index out of range ends the process instead of reading on.
target_compile_definitions(outboxd_flags INTERFACE _GLIBCXX_ASSERTIONS)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported()
add_link_options(-Wl,-z,relro,-z,now)
