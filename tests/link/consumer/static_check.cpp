// SPDX-License-Identifier: MIT
// Links with -static where the system's static libraries are installed.
#include <string>

int main(int argc, char **argv)
{
    return std::string(argv[0]).size() == static_cast<std::size_t>(argc);
}
