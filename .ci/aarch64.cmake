# SPDX-License-Identifier: MIT
# Debian's cross compiler for aarch64, and an emulator for what it makes. That finds Debian's own libc
# for aarch64 where it looks for one: to point it at the compiler's, of another build, gives a program
# the loader of one and the libc of the other.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
