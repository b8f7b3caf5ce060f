# SPDX-License-Identifier: Apache-2.0
# The flags of the house, and one function for each kind of thing that is built.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)  # gnu++20 would define the macro "linux", a name in oci.proto
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Each pod has a process of its own, most of whose memory is its program: small is worth more here than fast.
set(CMAKE_CXX_FLAGS_RELEASE "-Os -DNDEBUG -ffunction-sections -fdata-sections")
set(CMAKE_EXE_LINKER_FLAGS_RELEASE "-Wl,--gc-sections")
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# The same file in another clone is not compiled again: paths count from the top of the tree.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(KATA_CCACHE ccache)
  if(KATA_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${KATA_CCACHE})
  endif()
endif()

option(KATA_SANITIZE "Build with AddressSanitizer and UBSan; not the stand-in, and no kata-agent" OFF)

option(KATA_UNITY "Compile several sources together" ON)
if(KATA_UNITY)
  set(KATA_UNITY_FLAGS -Wno-subobject-linkage)  # takes an included source for a header
endif()

find_package(Threads REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_library(KATA_PROTOBUF_LITE libprotobuf-lite.a REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SECCOMP REQUIRED libseccomp)
pkg_check_modules(NL REQUIRED libnl-route-3.0 libnl-3.0)

# What makes a mistake in memory end the process, or harder to use (tests/hardening_test.sh reads it back from the files).
# FORTIFY and the assertions check lengths and iterators where they are known; CET marks the targets of jumps.
set(KATA_HARDENING -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fPIE)
set(KATA_HARDENING_DEFINITIONS _GLIBCXX_ASSERTIONS)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")  # it needs optimization
  list(APPEND KATA_HARDENING_DEFINITIONS _FORTIFY_SOURCE=2)
endif()

add_library(kata_flags INTERFACE)
target_compile_options(kata_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers ${KATA_UNITY_FLAGS}
  ${KATA_HARDENING} -fno-strict-aliasing)
# KATA_STATIC: a property of the executables that run without shared objects.
target_link_options(kata_flags INTERFACE $<IF:$<BOOL:$<TARGET_PROPERTY:KATA_STATIC>>,-static-pie,-pie> LINKER:-z,relro,-z,now,-z,noexecstack)
target_compile_definitions(kata_flags INTERFACE ${KATA_HARDENING_DEFINITIONS}
  _FILE_OFFSET_BITS=64 KATA_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
  FMT_STATIC_THOUSANDS_SEPARATOR=',')  # so that fmt does without locales
target_include_directories(kata_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_include_directories(kata_flags SYSTEM INTERFACE /usr/include/libnl3)
# Not in kata_flags: the stand-in is never sanitized.
add_library(kata_sanitizers INTERFACE)
if(KATA_SANITIZE)
  target_compile_options(kata_sanitizers INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  target_link_options(kata_sanitizers INTERFACE -fsanitize=address,undefined)
endif()

# Libraries that Debian has as headers, or only as shared objects.
foreach(library fmt asio)
  add_library(kata_${library} STATIC EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/${library}.cpp)
  target_link_libraries(kata_${library} PUBLIC kata_flags kata_sanitizers)
endforeach()

# kata_unity(OUT NAME sources...): files in the place of the sources, each of which includes some of them. Most of what the
# compiler does for a source is the headers of Asio and protobuf and what is instantiated from them: several together take a
# third of the time of one by one. So names in the unnamed namespaces of a library must differ. It is not CMake's
# UNITY_BUILD, since that includes by absolute paths, and ccache could not serve another clone. Sources that are generated
# or have SKIP_UNITY_BUILD_INCLUSION stay.
function(kata_unity out name)
  set(batch_size 8)
  set(files)
  set(text)
  set(count 0)
  file(RELATIVE_PATH directory ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(source ${ARGN})
    get_source_file_property(alone ${source} SKIP_UNITY_BUILD_INCLUSION)
    if(NOT KATA_UNITY OR IS_ABSOLUTE ${source} OR alone STREQUAL "ON")
      list(APPEND files ${source})
      continue()
    endif()
    math(EXPR batch "${count} / ${batch_size}")
    string(APPEND text_${batch} "#include \"${directory}/${source}\"\n")
    math(EXPR count "${count} + 1")
  endforeach()
  set(batch 0)
  while(DEFINED text_${batch})
    set(file ${CMAKE_CURRENT_BINARY_DIR}/unity/${name}_${batch}.cpp)
    file(CONFIGURE OUTPUT ${file} CONTENT "${text_${batch}}" @ONLY)
    list(APPEND files ${file})
    math(EXPR batch "${batch} + 1")
  endwhile()
  set(${out} ${files} PARENT_SCOPE)
endfunction()

# kata_library(NAME sources...): a module as a static library NAME. Host and guest have the same: the agent links its
# libraries, and those of Debian that they name, statically.
function(kata_library name)
  kata_unity(files ${name} ${ARGN})
  add_library(${name} STATIC ${files})
  target_link_libraries(${name} PUBLIC kata_flags kata_sanitizers kata_fmt)
endfunction()

# kata_test(NAME sources... [LIBS libraries...]): unit tests NAME, one executable and one ctest.
function(kata_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS")
  kata_unity(files ${name} ${arg_UNPARSED_ARGUMENTS})
  add_executable(${name} ${files})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} kata_flags kata_sanitizers GTest::gtest_main GTest::gmock)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
