# The few kinds of target of this project, so that each folder's CMakeLists.txt only lists files.
#
# All C++ code is compiled with one set of flags (position independent, a section for each function), so that a source
# file is compiled once and its object serves the host's programs, the static programs of the VM and the SDK's archives.

set(KTSTR_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
  # g++ 12 sees overruns in operator+ of std::string that are not there (GCC bug 105651).
  -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
if(KTSTR_WERROR)
  list(APPEND KTSTR_WARNINGS -Werror)
endif()

# A compiler that collects its garbage less often is a tenth faster and takes 0.3 GB at most.
set(KTSTR_FASTER_COMPILER $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=524288>)

# The headers that most files need and that never change here, compiled once; and the same for tests.
set(_pch_headers
  <algorithm> <array> <chrono> <cstdint> <filesystem> <fstream> <functional> <map> <memory> <optional> <set> <span>
  <sstream> <string> <string_view> <unordered_map> <vector> <flatbuffers/flatbuffers.h> <fmt/format.h>
  <nlohmann/json.hpp>)
file(WRITE ${CMAKE_BINARY_DIR}/pch/pch.cc "")
add_library(ktstr_pch OBJECT ${CMAKE_BINARY_DIR}/pch/pch.cc)
target_precompile_headers(ktstr_pch PRIVATE ${_pch_headers})
if(KTSTR_BUILD_TESTS)
  add_library(ktstr_test_pch OBJECT ${CMAKE_BINARY_DIR}/pch/pch.cc)
  target_link_libraries(ktstr_test_pch PRIVATE GTest::gtest GTest::gmock)
  target_precompile_headers(ktstr_test_pch PRIVATE ${_pch_headers} <gmock/gmock.h> <gtest/gtest.h>)
endif()

# _ktstr_common(TARGET [PCH])
function(_ktstr_common target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-pthread;-fPIC;${KTSTR_FASTER_COMPILER};-ffunction-sections;-fdata-sections;${KTSTR_WARNINGS}>)
  if(KTSTR_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${KTSTR_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${KTSTR_SANITIZE})
  endif()
  # As fmt's own target has it: a precompiled header serves only those who define the same.
  target_compile_definitions(${target} PRIVATE FMT_SHARED)
  set(pch ${ARGN})
  if(NOT pch)
    set(pch ktstr_pch)
  endif()
  if(KTSTR_PCH AND NOT pch STREQUAL "none")
    target_precompile_headers(${target} REUSE_FROM ${pch})
  endif()
endfunction()
_ktstr_common(ktstr_pch none)
if(KTSTR_BUILD_TESTS)
  _ktstr_common(ktstr_test_pch none)
endif()

# ktstr_library(NAME SOURCES... [LIBS ...]): a static library of a room.
function(ktstr_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  _ktstr_common(${name})
  target_link_libraries(${name} PUBLIC ${A_LIBS})
  # Generated headers are there before any room's code is compiled.
  if(NOT name STREQUAL ktstr_schemas)
    add_dependencies(${name} ktstr_schemas_gen)
  endif()
endfunction()

# ktstr_program(NAME SOURCES... [LIBS ...]): a host program in bin/.
function(ktstr_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  _ktstr_common(${name})
  target_link_libraries(${name} PRIVATE ${A_LIBS})
endfunction()

# ktstr_guest_program(NAME SOURCES... [LIBS ...]): a static program for the VM; built without sanitizers only.
function(ktstr_guest_program name)
  ktstr_program(${name} ${ARGN})
  # Debug sections would make up most of the initramfs; the symbols stay.
  target_link_options(${name} PRIVATE -static -Wl,--gc-sections -Wl,--strip-debug)
endfunction()

# ktstr_preload(NAME SOURCE): bin/NAME.so, to be preloaded into a program of somebody else: nothing but the C library, no sanitizers.
function(ktstr_preload name source)
  add_library(${name} MODULE ${source})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE -pthread -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti
    -fno-threadsafe-statics ${KTSTR_WARNINGS})
  target_link_options(${name} PRIVATE -Wl,--as-needed -Wl,-z,defs)
  set_target_properties(${name} PROPERTIES PREFIX "" UNITY_BUILD OFF LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# ktstr_unit_test(NAME SOURCES... [LIBS ...] [DEFINITIONS ...]): a GoogleTest binary, each case shown in CTest, label "unit".
function(ktstr_unit_test name)
  if(NOT KTSTR_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;LIBS;DEFINITIONS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  _ktstr_common(${name} ktstr_test_pch)
  target_compile_definitions(${name} PRIVATE ${A_DEFINITIONS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit UNITY_BUILD OFF)
  target_link_libraries(${name} PRIVATE ${A_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  set(test_timeout 120)
  if(KTSTR_SANITIZE)
    set(test_timeout 900)  # tens of times slower
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT ${test_timeout})
endfunction()

# ktstr_test_library(NAME SOURCES... [LIBS ...]): what tests and benchmarks of several folders share.
function(ktstr_test_library name)
  if(KTSTR_BUILD_TESTS)
    ktstr_library(${name} ${ARGN})
  endif()
endfunction()

# ktstr_bench(NAME SOURCES... [LIBS ...] [ARGS ...]): a benchmark; it fails below its bar. Label "bench".
function(ktstr_bench name)
  if(NOT KTSTR_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;LIBS;ARGS" ${ARGN})
  ktstr_program(ktstr_${name} SOURCES ${A_SOURCES} LIBS ${A_LIBS})
  add_test(NAME ${name} COMMAND ktstr_${name} ${A_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS bench RUN_SERIAL TRUE TIMEOUT 1800)
endfunction()
