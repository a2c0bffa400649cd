// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_link.c - symbolic links and special files as reparse points
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

/* ---- following ------------------------------------------------------------------------------- */

static void a_link_leads_to_its_file(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l", "f");
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
}

/* Incumbent: targets are resolved from the share's root, not from the link's directory (0.6; #1375). */
static void a_target_is_relative_to_the_directory_of_the_link(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "right");
    host_symlink(t, "d\\l", "f");
    TEXT(t, "right", nt_gets(t, OPEN(t, "d\\l"), 0));
}

static void a_target_may_go_up(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "f", "text");
    host_symlink(t, "d\\l", "../f");
    TEXT(t, "text", nt_gets(t, OPEN(t, "d\\l"), 0));
}

static void a_link_to_a_directory_leads_into_it(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    host_symlink(t, "l", "d");
    TEXT(t, "text", nt_gets(t, OPEN(t, "l\\f"), 0));
    TEXT(t, "f", nt_names(t, "l", NULL));
}

static void a_link_in_the_middle_of_a_path_is_followed(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    host_puts(t, "a\\b\\f", "text");
    host_symlink(t, "a\\l", "b");
    host_symlink(t, "m", "a/l");
    TEXT(t, "text", nt_gets(t, OPEN(t, "m\\f"), 0));
}

static void links_to_links_are_followed(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l1", "f");
    host_symlink(t, "l2", "l1");
    host_symlink(t, "l3", "l2");
    TEXT(t, "text", nt_gets(t, OPEN(t, "l3"), 0));
}

/* Incumbent: endless recursion, the service dies of a stack overflow (0.6; #1149). */
static void a_link_to_itself_is_not_resolved_and_kills_nobody(struct t *t)
{
    host_symlink(t, "l", "l");
    EXPECT(t, STATUS_REPARSE_POINT_NOT_RESOLVED, TRY(t, "l"));
    OK(t, TRY(t, "", .access = FILE_READ_ATTRIBUTES));
}

static void two_links_to_each_other_are_not_resolved(struct t *t)
{
    host_symlink(t, "a", "b");
    host_symlink(t, "b", "a");
    EXPECT(t, STATUS_REPARSE_POINT_NOT_RESOLVED, TRY(t, "a"));
    EXPECT(t, STATUS_REPARSE_POINT_NOT_RESOLVED, TRY(t, "a\\x"));
}

static void a_directory_with_a_loop_in_it_is_listed(struct t *t)
{
    host_symlink(t, "l", "l");
    host_puts(t, "f", "");
    TEXT(t, "f l", nt_names(t, "", NULL));
}

static void a_dangling_link_is_not_found(struct t *t)
{
    host_symlink(t, "l", "none");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "l"));
    host_symlink(t, "m", "none/deep");
    uint32_t status = TRY(t, "m");
    CHECK(t, status == STATUS_OBJECT_NAME_NOT_FOUND || status == STATUS_OBJECT_PATH_NOT_FOUND);
}

static void a_link_out_of_the_share_does_not_lead_there(struct t *t)
{
    host_symlink(t, "l", "../../../../../../../../etc/passwd");
    CHECK(t, TRY(t, "l", .access = FILE_GENERIC_READ) != STATUS_SUCCESS);
    host_symlink(t, "m", "/etc/passwd");
    CHECK(t, TRY(t, "m", .access = FILE_GENERIC_READ) != STATUS_SUCCESS);
}

static void creating_through_a_dangling_link_is_refused_or_makes_its_target(struct t *t)
{
    host_symlink(t, "l", "f");
    uint32_t status = TRY(t, "l", .disposition = FILE_OPEN_IF);

    CHECK(t, status == STATUS_OBJECT_NAME_NOT_FOUND || host_exists(t, "f"));
    TEXT(t, "f", host_readlink(t, "l"));
}

static void a_file_is_created_in_a_linked_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_symlink(t, "l", "d");
    MAKE_FILE(t, "l\\f");
    CHECK(t, host_exists(t, "d\\f"));
}

/* ---- the link itself ------------------------------------------------------------------------- */

static void a_link_is_a_reparse_point(struct t *t)
{
    host_symlink(t, "l", "f");
    handle h = OPEN(t, "l", .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);

    CHECK(t, nt_tag(t, h).attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    EQUAL(t, IO_REPARSE_TAG_SYMLINK, nt_tag(t, h).tag);
    EQUAL(t, 0, nt_standard(t, h).size);
}

/* Incumbent: no GetReparsePoint at all (0.6). */
static void the_target_of_a_link_is_told(struct t *t)
{
    bool relative = false;

    host_symlink(t, "l", "d/f");
    TEXT(t, "d\\f", nt_readlink(t, "l", &relative));
    CHECK(t, relative);
}

static void a_target_that_goes_up_is_told(struct t *t)
{
    host_symlink(t, "l", "../../x/./y");
    TEXT(t, "..\\..\\x\\.\\y", nt_readlink(t, "l", NULL));
}

/* Incumbent: 260 bytes at most, and 260 bytes of stack go to the host (B.4, READLINK). */
static void a_long_target_is_told(struct t *t)
{
    char target[1025];

    for (int i = 0; i < 1024; i++)
        target[i] = i % 101 == 100 ? '/' : 'x';
    target[1024] = '\0';
    host_symlink(t, "l", target);
    EQUAL(t, 1024, strlen(nt_readlink(t, "l", NULL)));
}

static void a_file_is_no_link(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NOT_A_REPARSE_POINT,
           nt_fsctl(t, OPEN(t, "f"), FSCTL_GET_REPARSE_POINT, NULL, 0, 16384));
}

static void a_buffer_too_small_for_the_target_says_so(struct t *t)
{
    host_symlink(t, "l", "a/long/target/that/needs/room");
    handle h = OPEN(t, "l", .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);
    uint32_t status = nt_fsctl(t, h, FSCTL_GET_REPARSE_POINT, NULL, 0, 24);

    CHECK(t, status == STATUS_BUFFER_TOO_SMALL || status == STATUS_BUFFER_OVERFLOW);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void a_link_to_a_file_is_made(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_symlink(t, "l", "f", false, true));
    TEXT(t, "f", host_readlink(t, "l"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
}

/* Incumbent: '\' stays '\' in the target, which Linux takes for part of the name (0.6). */
static void separators_of_a_target_are_the_hosts(struct t *t)
{
    OK(t, nt_symlink(t, "l", "..\\d\\f", false, true));
    TEXT(t, "../d/f", host_readlink(t, "l"));
}

static void a_link_to_a_directory_is_made(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    OK(t, nt_symlink(t, "l", "d", true, true));
    TEXT(t, "d", host_readlink(t, "l"));
    TEXT(t, "f", nt_names(t, "l", NULL));
}

static void a_dangling_link_is_made(struct t *t)
{
    OK(t, nt_symlink(t, "l", "none", false, true));
    TEXT(t, "none", host_readlink(t, "l"));
}

/* Incumbent: absolute targets are refused whatever they are (B.4, SetReparsePoint). */
static void a_target_from_the_root_of_the_drive_stays_inside_the_share(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_symlink(t, "l", keep_printf(t, "%s\\f", case_dir(t)), false, true));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
    TEXT(t, "text", host_gets(t, "l"));
}

static void a_target_outside_of_the_drive_is_refused_and_the_file_stays(struct t *t)
{
    CHECK(t, nt_symlink(t, "l", "\\??\\C:\\windows", true, false) != STATUS_SUCCESS);
    CHECK(t, S_ISDIR(host_stat(t, "l").st_mode));
}

/* Incumbent: the file is deleted before the link is tried (B.4, SetReparsePoint). */
static void a_link_that_cannot_be_made_leaves_the_file(struct t *t)
{
    uint8_t bad[24] = {0};
    uint32_t tag = IO_REPARSE_TAG_SYMLINK;

    memcpy(bad, &tag, 4);
    bad[4] = 16;   /* length */
    bad[10] = 200; /* a name far outside */
    host_puts(t, "f", "");
    CHECK(t, nt_fsctl(t, OPEN(t, "f"), FSCTL_SET_REPARSE_POINT, bad, sizeof(bad), 0) !=
                 STATUS_SUCCESS);
    CHECK(t, S_ISREG(host_stat(t, "f").st_mode));
}

/* Incumbent: up to 16 KiB are copied into 520 bytes of stack (0.6). */
static void a_reparse_buffer_of_sixteen_kibibytes_does_no_harm(struct t *t)
{
    uint8_t *big = keep(t, 16384);
    uint32_t tag = IO_REPARSE_TAG_SYMLINK;
    uint16_t len = 16384 - 8, name = 16384 - 20;

    memset(big, 'x', 16384);
    memcpy(big, &tag, 4);
    memcpy(big + 4, &len, 2);
    memset(big + 8, 0, 12);
    memcpy(big + 10, &name, 2);
    host_puts(t, "f", "");
    (void)nt_fsctl(t, OPEN(t, "f"), FSCTL_SET_REPARSE_POINT, big, 16384, 0);
    OK(t, TRY(t, "", .access = FILE_READ_ATTRIBUTES));
}

static void a_file_with_data_does_not_become_a_link(struct t *t)
{
    uint8_t data[28] = {0x0c, 0, 0, 0xa0, 20, 0, 0,   0, 0,   0, 4,   0, 4,   0,
                        4,    0, 1, 0,    0,  0, 'a', 0, 'b', 0, 'a', 0, 'b', 0};

    host_puts(t, "f", "text");
    CHECK(t, nt_fsctl(t, OPEN(t, "f"), FSCTL_SET_REPARSE_POINT, data, sizeof(data), 0) !=
                 STATUS_SUCCESS);
    TEXT(t, "text", host_gets(t, "f"));
}

/* Incumbent: links belong to root (B.4). */
static void a_link_belongs_to_the_owner_of_the_share(struct t *t)
{
    OK(t, nt_symlink(t, "l", "f", false, true));
    EQUAL(t, host_stat(t, "\\").st_uid, host_stat(t, "l").st_uid);
}

static void a_link_that_was_made_is_listed_as_one(struct t *t)
{
    OK(t, nt_symlink(t, "l", "f", false, true));
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_LIST_DIRECTORY), NULL);

    CHECK(t, find(t, l, "l")->attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    EQUAL(t, 3, l->n); /* nothing is left over */
}

/* Incumbent: no DeleteReparsePoint (0.6). */
static void a_link_becomes_an_empty_file_again(struct t *t)
{
    uint8_t header[8] = {0x0c, 0, 0, 0xa0};

    host_symlink(t, "l", "f");
    handle h = OPEN(t, "l", .access = FILE_GENERIC_WRITE, .options = FILE_OPEN_REPARSE_POINT);
    OK(t, nt_fsctl(t, h, FSCTL_DELETE_REPARSE_POINT, header, sizeof(header), 0));
    nt_close(t, h);
    CHECK(t, S_ISREG(host_stat(t, "l").st_mode));
}

/* ---- special files --------------------------------------------------------------------------- */

static void expect_tag(struct t *t, const char *name, uint32_t tag)
{
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);

    EQUAL(t, tag, nt_tag(t, h).tag);
    CHECK(t, nt_tag(t, h).attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    nt_close(t, h);
}

static void special_files_have_the_tags_of_wsl(struct t *t)
{
    host_mknod(t, "p", S_IFIFO | 0644);
    host_mknod(t, "s", S_IFSOCK | 0644);
    host_mknod(t, "c", S_IFCHR | 0644);
    host_mknod(t, "b", S_IFBLK | 0644);
    expect_tag(t, "p", IO_REPARSE_TAG_LX_FIFO);
    expect_tag(t, "s", IO_REPARSE_TAG_AF_UNIX);
    expect_tag(t, "c", IO_REPARSE_TAG_LX_CHR);
    expect_tag(t, "b", IO_REPARSE_TAG_LX_BLK);
}

static void special_files_cannot_be_read(struct t *t)
{
    host_mknod(t, "p", S_IFIFO | 0644);
    CHECK(t, TRY(t, "p", .access = FILE_GENERIC_READ) != STATUS_SUCCESS);
}

static void special_files_are_listed(struct t *t)
{
    host_mknod(t, "p", S_IFIFO | 0644);
    host_mknod(t, "s", S_IFSOCK | 0644);
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_LIST_DIRECTORY), NULL);

    CHECK(t, find(t, l, "p")->attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    EQUAL(t, 0, find(t, l, "s")->size);
}

static const struct test_case cases[] = {
    CASE(a_link_leads_to_its_file),
    CASE(a_target_is_relative_to_the_directory_of_the_link),
    CASE(a_target_may_go_up),
    CASE(a_link_to_a_directory_leads_into_it),
    CASE(a_link_in_the_middle_of_a_path_is_followed),
    CASE(links_to_links_are_followed),
    CASE(a_link_to_itself_is_not_resolved_and_kills_nobody),
    CASE(two_links_to_each_other_are_not_resolved),
    CASE(a_directory_with_a_loop_in_it_is_listed),
    CASE(a_dangling_link_is_not_found),
    CASE(a_link_out_of_the_share_does_not_lead_there),
    CASE(creating_through_a_dangling_link_is_refused_or_makes_its_target),
    CASE(a_file_is_created_in_a_linked_directory),
    CASE(a_link_is_a_reparse_point),
    CASE(the_target_of_a_link_is_told),
    CASE(a_target_that_goes_up_is_told),
    CASE(a_long_target_is_told),
    CASE(a_file_is_no_link),
    CASE(a_buffer_too_small_for_the_target_says_so),
    CASE(a_link_to_a_file_is_made),
    CASE(separators_of_a_target_are_the_hosts),
    CASE(a_link_to_a_directory_is_made),
    CASE(a_dangling_link_is_made),
    CASE(a_target_from_the_root_of_the_drive_stays_inside_the_share),
    CASE(a_target_outside_of_the_drive_is_refused_and_the_file_stays),
    CASE(a_link_that_cannot_be_made_leaves_the_file),
    CASE(a_reparse_buffer_of_sixteen_kibibytes_does_no_harm),
    CASE(a_file_with_data_does_not_become_a_link),
    CASE(a_link_belongs_to_the_owner_of_the_share),
    CASE(a_link_that_was_made_is_listed_as_one),
    CASE(a_link_becomes_an_empty_file_again),
    CASE(special_files_have_the_tags_of_wsl),
    CASE(special_files_cannot_be_read),
    CASE(special_files_are_listed),
};
GROUP(link, cases);
