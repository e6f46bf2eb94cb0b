/* SPDX-License-Identifier: MIT */
/* A library without a malloc: what runs with it has libc's. */
int bench_nothing(void);

int bench_nothing(void)
{
    return 0;
}
