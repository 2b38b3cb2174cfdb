# Every third-party library, all from Debian packages (debian/control). Each has one home; see docs/design.md.
find_package(Threads REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(gnutls REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)

# Asio 1.22 frees with operator delete what it took from aligned_alloc.
add_library(outboxd_asio INTERFACE)
target_compile_definitions(outboxd_asio INTERFACE ASIO_DISABLE_STD_ALIGNED_ALLOC)
