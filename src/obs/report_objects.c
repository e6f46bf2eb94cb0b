/* SPDX-License-Identifier: MIT */
#include "obs/report.h"

enum { SHOWN_MAX = 1000 };

struct walk {
    struct report *report;
    report_object_call *add;
    unsigned n_shown;
    bool is_cut;
};

static bool visit(const struct object_figures *object, void *context)
{
    struct walk *walk = context;
    walk->is_cut = walk->n_shown == SHOWN_MAX;
    if (walk->is_cut)
        return false;
    walk->add(walk->report, object);
    walk->n_shown++;
    return true;
}

bool report_objects(struct report *report, report_object_call *add)
{
    struct walk walk = {.report = report, .add = add};
    return registry_each(visit, &walk) && !walk.is_cut;
}
