/* SPDX-License-Identifier: MIT */
/* A library in a folder that only a RUNPATH leads to. */
#include <stdlib.h>
#include <string.h>

char *hidden_text(void);

char *hidden_text(void)
{
    char *text = malloc(16);
    return text != NULL ? strcpy(text, "found") : NULL;
}
