/* Lists of layers and checkpoints.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"
#include "fixture.h"
#include "model/choice.h"

static tamis_model *small_model(void)
{
    fixture_spec spec = {.layers = 4, .width = {2, 3, 3, 3, 2}, .checkpoints = 3};
    return fixture_model(&spec);
}

/* The chosen numbers as text, "0 2". */
static const char *joined(const tamis__choice *choice)
{
    static char text[64];
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < choice->items; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", i ? " " : "",
                                 choice->item[i]);
    return text;
}

START_TEST(test_layers)
{
    static const char *const good[][2] = {
        {"0", "0"},     {"3,1", "1 3"},     {"layers.2", "2"},       {"layers.0,3,3", "0 3"},
        {"1-2", "1 2"}, {"0-3", "0 1 2 3"}, {"2-2,layers.0", "0 2"},
    };
    tamis_error err = {0};
    tamis_model *model = small_model();
    tamis__choice choice = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_ok(tamis__choose_layers(&choice, tamis_model_info_get(model), good[i][0], &err));
        ck_assert_str_eq(joined(&choice), good[i][1]);
        tamis__choice_fini(&choice);
    }
    ck_ok(tamis__choose_layers(&choice, tamis_model_info_get(model), NULL, &err));
    ck_assert_str_eq(joined(&choice), "0 1 2 3");
    tamis__choice_fini(&choice);
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_unknown_layers)
{
    static const char *const bad[] = {"",
                                      "4",
                                      "layers.4",
                                      "layers",
                                      "-1",
                                      "2-1",
                                      "0-4",
                                      "1-",
                                      "0,",
                                      ",0",
                                      "0 ",
                                      "a\nb",
                                      "18446744073709551616",
                                      "4294967296"};
    tamis_error err = {0};
    tamis_model *model = small_model();
    tamis__choice choice = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_fails(tamis__choose_layers(&choice, tamis_model_info_get(model), bad[i], &err),
                 TAMIS_ERR_ARG, "no layer '");
        ck_assert_ptr_nonnull(strstr(err.message, "layers.0, layers.1, layers.2, layers.3"));
        ck_assert_ptr_null(choice.item);
    }
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_checkpoints)
{
    static const char *const good[][2] = {
        {"all", "0 1 2"}, {"last", "2"}, {"0,last", "0 2"}, {"2,0", "0 2"}, {"0-1", "0 1"}};
    static const char *const bad[] = {"", "3", "first", "0,,1", "1-0", "-"};
    tamis_error err = {0};
    tamis_model *model = small_model();
    tamis__choice choice = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_ok(tamis__choose_checkpoints(&choice, tamis_model_info_get(model), good[i][0], &err));
        ck_assert_str_eq(joined(&choice), good[i][1]);
        tamis__choice_fini(&choice);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(tamis__choose_checkpoints(&choice, tamis_model_info_get(model), bad[i], &err),
                 TAMIS_ERR_ARG, "no checkpoint '");
    tamis_model_free(&model);
}
END_TEST

START_TEST(test_memory_failures)
{
    tamis_error err = {0};
    tamis_model *model = small_model();
    tamis__choice choice = {0};
    long n = 0;
    for (; n < 100; n++) {
        tamis__fault_memory_after(n);
        tamis_status status = tamis__choose_layers(&choice, tamis_model_info_get(model), "1", &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        ck_assert_ptr_null(choice.item);
    }
    ck_assert_int_eq(n, 2);
    tamis__choice_fini(&choice);
    tamis_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choice");
    TCase *tc = tcase_create("choice");
    tcase_add_test(tc, test_layers);
    tcase_add_test(tc, test_unknown_layers);
    tcase_add_test(tc, test_checkpoints);
    tcase_add_test(tc, test_memory_failures);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
