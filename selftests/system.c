// SPDX-License-Identifier: GPL-2.0
/*
 * Every page of every mapping of every process is what pagemap, kpageflags, smaps and
 * status say: a database or two, a shell, init, and whoever else runs.
 *
 * machines: default la57 numa
 *
 * A process is stopped while it is compared, but for those that this test descends from:
 * they sleep. The kernel itself goes on moving, collapsing and reclaiming pages, so what
 * differs is looked at again before it counts.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"

#define TIMEOUT		900
#define MAX_PROCESSES	256
#define MAX_MAPPINGS	1024
#define CHUNK		4096	/* pages compared at once */
#define TRIES		4
#define REDIS_SOCKET	"/tmp/selftest-redis.sock"
#define POSTGRES_DIR	"/tmp/selftest-postgres"

/* Programs, started and seen to work. 0 where there is none. */

static pid_t start(const char *user, const char *command)
{
	struct passwd *as = getpwnam(user);
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!as || initgroups(user, as->pw_gid) || setgid(as->pw_gid) || setuid(as->pw_uid))
		_exit(127);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static bool run(const char *user, const char *command)
{
	pid_t pid = start(user, command);
	int status = 1;

	waitpid(pid, &status, 0);
	return !status;
}

static bool run_until_it_works(const char *user, const char *command)
{
	int tries;

	for (tries = 0; tries < 600; tries++) {
		if (run(user, command))
			return true;
		usleep(100000);
	}
	return false;
}

struct paging_out {
	int pidfd;
	uint64_t wanted;	/* bytes */
};

static int page_out_mapping(const struct mapping *mapping, void *arg)
{
	struct paging_out *out = arg;
	struct iovec range = { (void *)mapping->start, mapping->end - mapping->start };

	if (!mapping->writable || mapping->shared || mapping->rss < SZ_2M || !out->wanted)
		return 0;
	if (range.iov_len > out->wanted)
		range.iov_len = out->wanted;
	out->wanted -= range.iov_len;
	syscall(SYS_process_madvise, out->pidfd, &range, 1UL, MADV_PAGEOUT, 0U);
	return 0;
}

/* Some of another process' memory goes out. */
static bool push_out(pid_t pid, uint64_t size)
{
	struct paging_out out = { syscall(SYS_pidfd_open, pid, 0), 0 };
	int tries;

	for (tries = 0; tries < 20 && status_kb(pid, "VmSwap") < 1024; tries++) {
		out.wanted = size;
		each_mapping(pid, page_out_mapping, &out);
	}
	close(out.pidfd);
	return status_kb(pid, "VmSwap") >= 1024;
}

/* The server's program is in redis-tools, under another name. */
#define REDIS_RUN								\
	"ln -sf $(command -v redis-check-rdb) /tmp/redis-server;"		\
	"exec /tmp/redis-server --port 0 --unixsocket " REDIS_SOCKET " --save ''"	\
	" --enable-debug-command yes --dir /tmp >/dev/null 2>&1"
#define REDIS_FILL								\
	"redis-cli -s " REDIS_SOCKET " debug populate 60000 key 300 2>/dev/null | grep -q OK"

static pid_t start_redis(void)
{
	pid_t pid = start("root", REDIS_RUN);

	if (run_until_it_works("root", REDIS_FILL) && push_out(pid, 8 << 20))
		return pid;
	process_end(pid);
	return -1;
}

/* Debian keeps initdb beside the server and not on the path. Once made, it is used again. */
#define POSTGRES_MAKE								\
	"PATH=$PATH:$(dirname $(readlink -f $(command -v postgres)));"		\
	"test -d " POSTGRES_DIR " ||"						\
	"initdb -D " POSTGRES_DIR " -A trust --no-sync >/dev/null 2>&1"
#define POSTGRES_RUN								\
	"exec postgres -D " POSTGRES_DIR " -k /tmp -c listen_addresses="	\
	" -c shared_buffers=16MB >/dev/null 2>&1"
#define POSTGRES_FILL								\
	"psql -h /tmp -qc 'drop table if exists t;"				\
	" create table t as select generate_series(1, 20000) as n' postgres >/dev/null 2>&1"

static pid_t start_postgres(void)
{
	pid_t pid;

	if (!run("postgres", "command -v postgres psql >/dev/null"))
		return 0;
	if (!run("postgres", POSTGRES_MAKE))
		return -1;
	pid = start("postgres", POSTGRES_RUN);
	if (run_until_it_works("postgres", POSTGRES_FILL))
		return pid;
	process_end(pid);
	return -1;
}

/* Waits for a line that never comes. */
static pid_t start_shell(void)
{
	return start("root",
		     "cd /tmp; mkfifo fifo 2>/dev/null; x=$(cat /etc/passwd); read y <>fifo");
}

FIXTURE(system)
{
	pid_t redis, postgres, shell, zoo;
	pid_t pids[MAX_PROCESSES];
	size_t nr;
};

/* Of a line of /proc/PID/stat, whose second field may hold anything. */
static bool stat_of(pid_t pid, char *state, int *parent)
{
	char path[64], text[1024];
	const char *after;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, text, sizeof(text)) <= 0)
		return false;
	after = strrchr(text, ')');
	return after && sscanf(after + 1, " %c %d", state, parent) == 2;
}

static bool is_ancestor(pid_t pid)
{
	int of = getppid();
	char state;

	while (of != pid && of > 0 && stat_of(of, &state, &of))
		;
	return of == pid || pid == 1;
}

static bool is_stopped(pid_t pid)
{
	char state;
	int parent;

	return stat_of(pid, &state, &parent) && state == 'T';
}

/* All that have memory of their own but this one: kernel threads have no maps. */
static size_t list_processes(pid_t *pids)
{
	DIR *proc = opendir("/proc");
	char path[300], text[16];
	struct dirent *entry;
	size_t nr = 0;

	while (proc && (entry = readdir(proc)) && nr < MAX_PROCESSES) {
		if (!isdigit(entry->d_name[0]) || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/maps", entry->d_name);
		if (read_file(path, text, sizeof(text)) > 0)
			pids[nr++] = atoi(entry->d_name);
	}
	if (proc)
		closedir(proc);
	return nr;
}

FIXTURE_SETUP(system)
{
	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 4));
	self->zoo = zoo_start();
	self->shell = start_shell();
	self->redis = start_redis();
	self->postgres = start_postgres();
	self->nr = list_processes(self->pids);
}

FIXTURE_TEARDOWN(system)
{
	process_end(self->zoo);
	process_end(self->shell);
	process_end(self->redis);
	if (self->postgres > 0) {
		kill(self->postgres, SIGQUIT);	/* at once, and its children with it */
		waitpid(self->postgres, NULL, 0);
	}
}

/* One process as we see it, and how far that is from what others see. */
struct census {
	pid_t pid;
	int device, pagemap;
	struct mapping mappings[MAX_MAPPINGS];
	size_t nr_mappings;

	struct vminspect_entry entries[CHUNK];	/* those of the chunk in hand */
	uint64_t start, end, filled;

	unsigned long pages, differences;
	char first[256];		/* the first difference in words */

	/* Bytes of the mapping in hand, and of all */
	struct sums {
		uint64_t rss, anon_huge, file_huge, hugetlb, swap, swap_shmem, zero, special;
		uint64_t uffd_wp, protnone, marker, huge_protnone;
	} sums, total;
};

static void add_sums(struct sums *to, const struct sums *from)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)from;
	size_t i;

	for (i = 0; i < sizeof(*to) / sizeof(*a); i++)
		a[i] += b[i];
}

static void differ(struct census *census, uint64_t va, const char *what)
{
	char text[160] = "";

	if (census->differences++)
		return;
	if (va >= census->start && va < census->end)
		entry_text(&census->entries[(va - census->start) / SZ_4K], text, sizeof(text));
	snprintf(census->first, sizeof(census->first), "pid %d at %#" PRIx64 ": %s; %s",
		 census->pid, va, what, text);
}

static int add_mapping(const struct mapping *mapping, void *arg)
{
	struct census *census = arg;

	if (census->nr_mappings < MAX_MAPPINGS)
		census->mappings[census->nr_mappings++] = *mapping;
	return 0;
}

/* Extents have to come in order, one after the other, and to cover the whole chunk. */
static int fill_entries(const struct vminspect_extent *extent, void *arg)
{
	struct census *census = arg;
	uint64_t va;

	if (extent->start != census->filled || extent->end <= extent->start ||
	    extent->end > census->end)
		return -EILSEQ;
	for (va = extent->start; va < extent->end; va += SZ_4K)
		census->entries[(va - census->start) / SZ_4K] = extent_entry(extent, va);
	census->filled = extent->end;
	return 0;
}

static const char *scan_chunk(struct census *census)
{
	const struct vminspect_scan everything = {
		.return_mask = RETURN_ALL,
		.split_mask = VMINSPECT_PAGE_FLAGS,
	};

	census->filled = census->start;
	if (device_extents(census->device, census->start, census->end, &everything, fill_entries,
			   census))
		return "SCAN failed, or its extents are no row";
	return census->filled == census->end ? NULL : "SCAN left something out";
}

static bool same_entry(const struct vminspect_entry *a, const struct vminspect_entry *b)
{
	return a->frame == b->frame && a->flags == b->flags && a->state == b->state &&
	       a->page_shift == b->page_shift && a->swap_type == b->swap_type;
}

/* A sample: TRANSLATE of every 13th page. */
static const char *translate_chunk(struct census *census, uint64_t *where)
{
	uint64_t addresses[CHUNK / 13 + 1];
	struct vminspect_entry entries[CHUNK / 13 + 1];
	uint32_t nr = 0, done = 0, i;
	uint64_t va;

	for (va = census->start; va < census->end; va += 13 * SZ_4K)
		addresses[nr++] = va + va % 4093 % SZ_4K;
	while (done < nr) {
		int ret = device_translate(census->device, addresses + done, entries + done,
					   nr - done, RETURN_ALL);

		if (ret <= 0)
			return "TRANSLATE failed";
		done += ret;
	}
	for (i = 0; i < nr; i++) {
		*where = addresses[i] & ~(SZ_4K - 1);
		if (!same_entry(&entries[i],
				&census->entries[(*where - census->start) / SZ_4K]))
			return "TRANSLATE is not SCAN";
	}
	return NULL;
}

/* What differs first, and where; NULL if nothing does. */
static const char *compare_chunk(struct census *census, uint64_t *where)
{
	static uint64_t pagemap[CHUNK];
	size_t nr = (census->end - census->start) / SZ_4K, i;
	const char *differs;

	*where = census->start;
	differs = scan_chunk(census);
	if (differs)
		return differs;
	if (pagemap_read(census->pagemap, census->start, pagemap, nr))
		return "pagemap is not readable";
	for (i = 0; i < nr; i++) {
		const struct vminspect_entry *entry = &census->entries[i];

		*where = census->start + i * SZ_4K;
		differs = pagemap_differs(entry, pagemap[i]);
		if (!differs && entry->state == VMINSPECT_STATE_PRESENT)
			differs = kpageflags_differ(entry, kpage_flags(entry->frame));
		if (!differs && (entry->state == VMINSPECT_STATE_UNMAPPED ||
				 entry->state == VMINSPECT_STATE_UNKNOWN))
			differs = "no such page may be here";
		if (differs)
			return differs;
	}
	return translate_chunk(census, where);
}

static void sum_entry(struct sums *sums, const struct vminspect_entry *entry)
{
	uint32_t flags = entry->flags;

	if (flags & VMINSPECT_PAGE_UFFD_WP)
		sums->uffd_wp += SZ_4K;
	if (flags & VMINSPECT_PAGE_PROTNONE)
		sums->protnone += SZ_4K;
	if (entry->state == VMINSPECT_STATE_MARKER)
		sums->marker += SZ_4K;
	if (entry->state == VMINSPECT_STATE_SWAPPED) {
		sums->swap += SZ_4K;
		sums->swap_shmem += flags & VMINSPECT_PAGE_SHMEM ? SZ_4K : 0;
	}
	if (entry->state != VMINSPECT_STATE_PRESENT)
		return;
	if (flags & VMINSPECT_PAGE_ZERO)
		sums->zero += SZ_4K;
	else if (flags & VMINSPECT_PAGE_SPECIAL)
		sums->special += SZ_4K;
	else if (flags & VMINSPECT_PAGE_HUGETLB)
		sums->hugetlb += SZ_4K;
	else
		sums->rss += SZ_4K;
	if (!(flags & VMINSPECT_PAGE_HUGE) ||
	    (flags & (VMINSPECT_PAGE_ZERO | VMINSPECT_PAGE_HUGETLB | VMINSPECT_PAGE_SPECIAL)))
		return;
	*(flags & VMINSPECT_PAGE_ANON ? &sums->anon_huge : &sums->file_huge) += SZ_4K;
	if (flags & VMINSPECT_PAGE_PROTNONE)
		sums->huge_protnone += SZ_4K;
}

static void take_chunk(struct census *census)
{
	size_t nr = (census->end - census->start) / SZ_4K, i;
	const char *differs = NULL;
	uint64_t where = 0;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		differs = compare_chunk(census, &where);
		if (!differs)
			break;
		usleep(20000);
	}
	if (differs)
		differ(census, where, differs);
	census->pages += nr;
	for (i = 0; i < nr; i++)
		sum_entry(&census->sums, &census->entries[i]);
}

static const char *compare_sums(const struct sums *sums, const struct mapping *mapping)
{
	/*
	 * A quirk of 6.1: smaps leaves out huge pages whose entries trap, PROT_NONE and
	 * NUMA hints (smaps_pmd_entry() asks follow_trans_huge_pmd(), which refuses).
	 */
	uint64_t left_out = sums->anon_huge == mapping->anon_huge ? 0 : sums->huge_protnone;

	if (sums->rss != mapping->rss + left_out)
		return "Rss";
	if (sums->swap != mapping->swap)
		return "Swap";
	if (sums->anon_huge != mapping->anon_huge + left_out)
		return "AnonHugePages";
	if (sums->file_huge != mapping->shmem_huge + mapping->file_huge)
		return "ShmemPmdMapped and FilePmdMapped";
	if (sums->hugetlb != mapping->hugetlb)
		return "Hugetlb";
	/* What only special pages stand for is marked pf, mm or io in VmFlags. */
	if (sums->special && !strstr(mapping->vm_flags, " pf") && !strstr(mapping->vm_flags, " mm"))
		return "special pages";
	return NULL;
}

static void take_mapping(struct census *census, struct mapping *mapping)
{
	const char *differs = NULL;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		memset(&census->sums, 0, sizeof(census->sums));
		for (census->start = mapping->start; census->start < mapping->end;
		     census->start = census->end) {
			census->end = census->start + CHUNK * SZ_4K;
			if (census->end > mapping->end)
				census->end = mapping->end;
			take_chunk(census);
		}
		differs = compare_sums(&census->sums, mapping);
		if (!differs || mapping_at(census->pid, (void *)mapping->start, mapping))
			break;
	}
	if (differs)
		differ(census, mapping->start, differs);
	add_sums(&census->total, &census->sums);
}

static void take_mappings(struct census *census)
{
	size_t i;

	census->nr_mappings = 0;
	if (each_mapping(census->pid, add_mapping, census) || census->nr_mappings == MAX_MAPPINGS)
		differ(census, 0, "smaps is not readable, or very long");
	for (i = 0; i < census->nr_mappings; i++)
		take_mapping(census, &census->mappings[i]);
}

/*
 * A quirk of 6.1: each thread keeps to itself what it added to the counters until it had
 * 64 faults (SPLIT_RSS_COUNTING, check_sync_rss_stat() in mm/memory.c): VmSwap may be
 * off by so many pages for each. Where nobody came back in it is exact; see
 * VmSwap_of_who_only_sleeps.
 */
static bool vm_swap_fits(struct census *census)
{
	long ours = (census->total.swap - census->total.swap_shmem) / 1024;
	long theirs = status_kb(census->pid, "VmSwap");
	long slack = status_kb(census->pid, "Threads") * 66 * 4;

	return ours >= theirs - slack && ours <= theirs + slack;
}

/* Ancestors only sleep: an answer of theirs that changed is asked for once more. */
static void take_census(struct census *census, pid_t pid)
{
	int tries, most = is_ancestor(pid) ? 3 : 1;

	for (tries = 0; tries < most; tries++) {
		memset(census, 0, sizeof(*census));
		census->pid = pid;
		census->device = device_bound(pid);
		census->pagemap = pagemap_open(pid);
		if (census->device < 0 || census->pagemap < 0) {
			differ(census, 0, "not to be bound");
			return;
		}
		take_mappings(census);
		if (!vm_swap_fits(census))
			differ(census, 0, "VmSwap");
		close(census->device);
		close(census->pagemap);
		if (!census->differences)
			break;
	}
}

/* Stops it if that may be; false if it came and went. */
static bool hold(pid_t pid)
{
	return is_ancestor(pid) || !process_stop(pid);
}

static void let_go(pid_t pid)
{
	if (!is_ancestor(pid))
		kill(pid, SIGCONT);
}

TEST_F_TIMEOUT(system, every_page_of_every_process, TIMEOUT)
{
	struct census *census = malloc(sizeof(*census));
	unsigned long pages = 0;
	struct sums total = { 0 };
	size_t i;

	ASSERT_NE(NULL, census);
	ASSERT_LT(0, self->zoo);
	ASSERT_LT(0, self->shell);
	ASSERT_LT(0, self->redis);
	EXPECT_LE(0, self->postgres);
	for (i = 0; i < self->nr; i++) {
		if (!hold(self->pids[i]))
			continue;
		take_census(census, self->pids[i]);
		let_go(self->pids[i]);
		EXPECT_EQ(0, census->differences)
			TH_LOG("%s", census->first);
		pages += census->pages;
		add_sums(&total, &census->total);
	}
	TH_LOG("%zu processes, %lu pages, redis too, postgres %s", self->nr, pages,
	       self->postgres ? "too" : "is not installed");
	EXPECT_LT(4, self->nr);
	EXPECT_LT(0, total.rss);
	EXPECT_LT(0, total.anon_huge);
	EXPECT_LT(0, total.hugetlb);
	EXPECT_LT(0, total.swap_shmem);
	EXPECT_LT(0, total.swap - total.swap_shmem);
	EXPECT_LT(0, total.zero);
	EXPECT_LT(0, total.special);
	EXPECT_LT(0, total.uffd_wp);
	EXPECT_LT(0, total.protnone);
	EXPECT_LT(0, total.marker);
	free(census);
}

TEST_F_TIMEOUT(system, nobody_is_left_stopped, TIMEOUT)
{
	struct census *census = malloc(sizeof(*census));

	ASSERT_NE(NULL, census);
	ASSERT_LT(0, self->shell);
	ASSERT_TRUE(hold(self->shell));
	EXPECT_TRUE(is_stopped(self->shell));
	take_census(census, self->shell);
	EXPECT_TRUE(is_stopped(self->shell));	/* looking wakes nobody */
	let_go(self->shell);
	usleep(100000);
	EXPECT_FALSE(is_stopped(self->shell));
	EXPECT_LT(0, census->pages);
	free(census);
}

/* It writes its memory, has it go out, and sleeps. */
static pid_t start_swapped(size_t size)
{
	int ready[2];
	char byte = 1;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		char *map = map_anon(size, PROT_READ | PROT_WRITE);

		memset(map, 1, size);
		byte = page_out(map, size) ? 1 : 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1 || byte) {
		process_end(pid);
		pid = -1;
	}
	close(ready[0]);
	close(ready[1]);
	return pid;
}

TEST_F_TIMEOUT(system, VmSwap_of_who_only_sleeps, TIMEOUT)
{
	struct census *census = malloc(sizeof(*census));
	pid_t pid = start_swapped(8 << 20);

	ASSERT_NE(NULL, census);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(hold(pid));
	take_census(census, pid);
	EXPECT_EQ(0, census->differences)
		TH_LOG("%s", census->first);
	EXPECT_EQ(status_kb(pid, "VmSwap"),
		  (long)(census->total.swap - census->total.swap_shmem) / 1024);
	EXPECT_LE(8 << 20, census->total.swap);
	process_end(pid);
	free(census);
}

/* The page tables that WALK passes through, each once. */
struct tables {
	int device;
	uint64_t *addresses;
	size_t nr, max;
	size_t set_aside;
	bool failed;
};

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void tables_add(struct tables *tables, uint64_t address)
{
	if (tables->nr == tables->max) {
		tables->max = tables->max * 2 + 1024;
		tables->addresses = realloc(tables->addresses,
					    tables->max * sizeof(*tables->addresses));
	}
	if (tables->addresses)
		tables->addresses[tables->nr++] = address;
	else
		tables->failed = true;
}

/*
 * VmPTE counts tables of PTEs, PMDs and PUDs (mm_pgtables_bytes()), and for each huge
 * page or huge zero page in anonymous memory the table that is set aside to split it.
 */
static void tables_walk(struct tables *tables, uint64_t va)
{
	struct vminspect_walk walk;
	uint32_t i;

	if (device_walk(tables->device, va, &walk)) {
		tables->failed = true;
		return;
	}
	for (i = 0; i < walk.nr_levels; i++)
		if (walk.levels[i].level <= 3)
			tables_add(tables, walk.levels[i].entry_pa / SZ_4K);
	if (walk.entry.page_shift == 21 &&
	    !(walk.entry.flags & (VMINSPECT_PAGE_HUGETLB | VMINSPECT_PAGE_FILE)))
		tables->set_aside++;
}

static int tables_of_mapping(const struct mapping *mapping, void *arg)
{
	uint64_t va;

	for (va = mapping->start; va < mapping->end; va = (va & ~(SZ_2M - 1)) + SZ_2M)
		tables_walk(arg, va);
	return 0;
}

/* In KiB, as VmPTE is. */
static long count_tables(pid_t pid)
{
	struct tables tables = { .device = device_bound(pid) };
	size_t i, nr = 0;

	if (tables.device < 0 || each_mapping(pid, tables_of_mapping, &tables) || tables.failed)
		return -1;
	qsort(tables.addresses, tables.nr, sizeof(*tables.addresses), compare_addresses);
	for (i = 0; i < tables.nr; i++)
		nr += !i || tables.addresses[i] != tables.addresses[i - 1];
	free(tables.addresses);
	close(tables.device);
	return (nr + tables.set_aside) * 4;
}

TEST_F_TIMEOUT(system, page_tables_passed_by_WALK_are_all_that_VmPTE_counts, TIMEOUT)
{
	size_t i;
	int tries;

	for (i = 0; i < self->nr; i++) {
		pid_t pid = self->pids[i];
		long ours = -1, theirs = 0;

		if (!hold(pid))
			continue;
		for (tries = 0; tries < TRIES && ours != theirs; tries++) {
			ours = count_tables(pid);
			theirs = status_kb(pid, "VmPTE");
		}
		let_go(pid);
		EXPECT_EQ(theirs, ours)
			TH_LOG("pid %d", pid);
	}
}

TEST_HARNESS_MAIN
