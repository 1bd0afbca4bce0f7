# The few target kinds of this project, so that each folder's CMakeLists.txt only lists files.

set(KTSTR_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -Werror)

function(_ktstr_common target)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${KTSTR_WARNINGS}>)
endfunction()

function(_ktstr_host target)
  _ktstr_common(${target})
  if(KTSTR_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${KTSTR_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${KTSTR_SANITIZE})
  endif()
endfunction()

# ktstr_library(NAME SOURCES... [LIBS ...]): a static library of host code.
function(ktstr_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  _ktstr_host(${name})
  target_link_libraries(${name} PUBLIC ${A_LIBS})
endfunction()

# ktstr_program(NAME SOURCES... [LIBS ...]): a host program in bin/.
function(ktstr_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  _ktstr_host(${name})
  target_link_libraries(${name} PRIVATE ${A_LIBS})
endfunction()

# ktstr_guest_program(NAME SOURCES... [LIBS ...]): a static program for the VM; never sanitized, small.
# Host libraries are not linked into it: it lists the sources it shares with the host.
function(ktstr_guest_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  _ktstr_common(${name})
  target_compile_options(${name} PRIVATE -Os -ffunction-sections -fdata-sections)
  # Debug sections would make up most of the initramfs; the symbols stay.
  target_link_options(${name} PRIVATE -static -Wl,--gc-sections -Wl,--strip-debug)
  target_link_libraries(${name} PRIVATE ${A_LIBS})
  add_dependencies(${name} ktstr_schemas_gen)
endfunction()

# ktstr_unit_test(NAME SOURCES... [LIBS ...]): a GoogleTest binary, each case shown in CTest, label "unit".
function(ktstr_unit_test name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  _ktstr_host(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
  target_link_libraries(${name} PRIVATE ${A_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
