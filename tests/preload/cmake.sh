#!/bin/sh
# SPDX-License-Identifier: MIT
# cmake configures a C++ project, and make and the compilers, all preloaded, build it.
. "$(dirname "$0")/lib.sh"
need cmake make g++
in_use cmake --version

mkdir "$scratch/source"
cp "$here/cpp_work.cpp" "$scratch/source"
cat >"$scratch/source/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.10)
project(work CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(Threads REQUIRED)
foreach(n RANGE 1 300)
    string(SHA256 sum "${n}${sums}")
    list(APPEND sums ${sum})
    string(REGEX REPLACE "([a-f]+)[0-9]" "<\\1>" text "${sums}")
    configure_file(text.in text${n} @ONLY)
endforeach()
string(LENGTH "${text}" length)
message(STATUS "text of ${length}")
add_executable(work cpp_work.cpp)
target_link_libraries(work Threads::Threads)
add_custom_target(words ALL COMMAND ${CMAKE_COMMAND} -E cat ${CMAKE_BINARY_DIR}/text7)
END
echo 'number @n@: @sum@' >"$scratch/source/text.in"
work()
{
    run cmake -S "$scratch/source" -B . -G 'Unix Makefiles' | grep -v -e '^-- Build files'
    run make -j 2 VERBOSE= work >make.out
    run make words | grep number
    run ./work
    cat text* | cksum
}
same_work
