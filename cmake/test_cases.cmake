# outboxd_test_cases(TARGET [TIMEOUT SECONDS] [ENVIRONMENT NAME=VALUE…] [ARGUMENTS …] [LAUNCHER …])
#
# Makes the doctest cases of TARGET known to ctest by their names: `ctest -N` lists them, `ctest -R 'a deferred head'` runs one. Each runs in
# a process of its own, behind LAUNCHER if there is one; exit 77 is "skipped". A sanitized program takes a tenth of a second to start and to
# end, so there the cases of one file share a process and are one entry, named by the file, with twice the TIMEOUT.
function(outboxd_test_cases target)
  cmake_parse_arguments(PARSE_ARGV 1 given "" "TIMEOUT" "ENVIRONMENT;ARGUMENTS;LAUNCHER")
  if(NOT given_TIMEOUT)
    set(given_TIMEOUT 120)
  endif()
  if(OUTBOXD_SANITIZE)
    outboxd_test_files(${target})
    return()
  endif()
  set(cases ${CMAKE_CURRENT_BINARY_DIR}/${target}_cases.cmake)
  add_custom_command(TARGET ${target} POST_BUILD BYPRODUCTS ${cases} VERBATIM
    COMMAND ${CMAKE_COMMAND} -D "program=$<TARGET_FILE:${target}>" -D "arguments=${given_ARGUMENTS}" -D "launcher=${given_LAUNCHER}" -D "timeout=${given_TIMEOUT}"
      -D "environment=${given_ENVIRONMENT}" -D "out=${cases}" -P ${PROJECT_SOURCE_DIR}/cmake/list_test_cases.cmake)
  set(include ${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake)
  file(WRITE ${include} "if(EXISTS [==[${cases}]==])\n  include([==[${cases}]==])\nelse()\n  add_test(${target}_is_not_built ${target}_is_not_built)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include})
endfunction()

# Called by outboxd_test_cases, whose arguments it sees. SIGTERM first: doctest then names the case that hung.
function(outboxd_test_files target)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "_test\\.cc$")
  math(EXPR timeout "${given_TIMEOUT} * 2")
  math(EXPR kill_after "${timeout} + 20")
  foreach(source ${sources})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    add_test(NAME ${name} COMMAND timeout --signal=TERM --kill-after=10 ${timeout} ${given_LAUNCHER} $<TARGET_FILE:${target}> "--source-file=*/tests/${name}"
      ${given_ARGUMENTS})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${kill_after} SKIP_RETURN_CODE 77
      FAIL_REGULAR_EXPRESSION "test cases: *0 " ENVIRONMENT "${given_ENVIRONMENT}")
  endforeach()
endfunction()
