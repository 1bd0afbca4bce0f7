# ktstr_add_tests(TARGET [KERNEL WISH] [TIMEOUT SECONDS] [ARGS ...]): each test of the binary (ktstr/test.h) becomes a test
# of CTest, TARGET.NAME, that runs `ktstr-launch run BINARY -E 'test(=NAME)'`. The list is taken from the binary when it
# was built. A VM at a time: the tests of one build tree lock each other out. Exit code 4 (inconclusive) is a failure.
function(ktstr_add_tests target)
  cmake_parse_arguments(A "" "KERNEL;TIMEOUT" "ARGS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 600)
  endif()
  set(args ${A_ARGS})
  if(A_KERNEL)
    list(APPEND args --kernel ${A_KERNEL})
  endif()
  set(tests ${CMAKE_CURRENT_BINARY_DIR}/${target}_ktstr_tests.cmake)
  set(include ${CMAKE_CURRENT_BINARY_DIR}/${target}_ktstr_include.cmake)
  add_custom_command(TARGET ${target} POST_BUILD BYPRODUCTS ${tests}
    COMMAND ${CMAKE_COMMAND} -D "BINARY=$<TARGET_FILE:${target}>" -D "PREFIX=${target}." -D "LAUNCH=${KTSTR_LAUNCH}"
            -D "ARGS=${args}" -D "TIMEOUT=${A_TIMEOUT}" -D "OUTPUT=${tests}" -P ${_KTSTR_DISCOVER}
    COMMENT "ktstr: tests of ${target}" VERBATIM)
  file(WRITE ${include} "if(EXISTS \"${tests}\")\n  include(\"${tests}\")\nelse()\n  add_test(${target}_NOT_BUILT ${target}_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include})
endfunction()
set(_KTSTR_DISCOVER ${CMAKE_CURRENT_LIST_DIR}/KtstrDiscover.cmake)
