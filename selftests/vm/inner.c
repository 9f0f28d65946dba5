// SPDX-License-Identifier: GPL-2.0
/*
 * inner MARKER: the only program of a Linux that is itself a guest. It writes markers into its
 * memory and tells where its own kernel has it, so that others can look from outside. It talks by
 * its second serial port. It is PID 1: the machine ends with it.
 *
 * The report, lines of words, numbers in hexadecimal:
 *
 *   page SIZE GVA GPA WORD     a page of 4K, or a part of a larger one. SIZE: of the page that the
 *                              kernel has there, by smaps; GPA: by pagemap; WORD: what is there
 *   kernel GVA GPA             the kernel's first instruction, by kallsyms and iomem
 *   hole GVA                   mapped, and never touched
 *   ready
 *
 * The words are MARKER, MARKER + 1, ..., and code. Then it does what it is told by lines, and
 * answers "done":
 *
 *   touch         reads the words; the answer is "lost GVA" if one is not there any more
 *   free GVA      gives back the page at GVA, which is one of 4K, and forgets it
 *   spin          answers, and does not leave the processor until there is another line
 *
 * While it waits for a line there is nobody else to run: the processor stays in its address space.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "../common.h"

#define PORT		"/dev/ttyS1"
#define NR_SMALL	8

struct page {
	volatile uint64_t *va;	/* NULL once it is given back */
	uint64_t word;
};

static struct page pages[32];
static size_t nr_pages;
static int pagemap;

static __attribute__((noreturn)) void give_up(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf(": %s\n", strerror(errno));
	tcdrain(STDOUT_FILENO);
	exit(1);
}

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL) && errno != EBUSY)
		give_up("%s", path);
}

/* Lines as they are: no echo, no carriage returns. */
static void open_port(void)
{
	struct termios settings;
	int fd = open(PORT, O_RDWR | O_NOCTTY);

	if (fd < 0 || tcgetattr(fd, &settings))
		exit(1);
	cfmakeraw(&settings);
	if (tcsetattr(fd, TCSANOW, &settings) || dup2(fd, STDIN_FILENO) < 0 ||
	    dup2(fd, STDOUT_FILENO) < 0)
		exit(1);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static uint64_t gpa_of(const volatile void *va)
{
	uint64_t entry = pagemap_entry(pagemap, (const void *)va);

	if (!(entry & PM_PRESENT))
		give_up("%p is not in memory", va);
	return (entry & PM_PFN_MASK) * SZ_4K + ((uintptr_t)va & (SZ_4K - 1));
}

static uint64_t page_size_at(const volatile void *va)
{
	struct mapping mapping;

	if (mapping_at(getpid(), (const void *)va, &mapping))
		give_up("smaps has no %p", va);
	return mapping.anon_huge ? SZ_2M : SZ_4K;
}

static void report(const volatile void *va)
{
	struct page *page = &pages[nr_pages++];

	page->va = (volatile uint64_t *)va;
	page->word = *page->va;
	printf("page 0x%" PRIx64 " %p 0x%" PRIx64 " 0x%" PRIx64 "\n", page_size_at(va), va,
	       gpa_of(va), page->word);
}

/* Pages of all sizes, of code, and one that nobody has touched. */
static void make_pages(uint64_t marker)
{
	char *small = map_small((NR_SMALL + 1) * SZ_4K);
	char *huge = map_huge(SZ_2M);

	if (!small || !huge)
		give_up("no memory");
	for (int i = 0; i < NR_SMALL; i++) {
		*(uint64_t *)(small + i * SZ_4K) = marker++;
		report(small + i * SZ_4K);
	}
	/* not the first of it, and not at the start of a page */
	for (size_t offset = 0; offset < SZ_2M; offset += 123 * SZ_4K + 8) {
		*(uint64_t *)(huge + offset) = marker++;
		report(huge + offset);
	}
	report((void *)((uintptr_t)make_pages & -sizeof(uint64_t)));
	printf("hole %p\n", small + NR_SMALL * SZ_4K);
}

/* Sets *@number from the first line of a file that ends in @what. */
static void find_number(const char *path, const char *what, uint64_t *number)
{
	FILE *file = fopen(path, "r");
	char line[256];
	size_t length;

	*number = 0;
	while (file && !*number && fgets(line, sizeof(line), file)) {
		length = strcspn(line, "\n");
		line[length] = 0;
		if (length > strlen(what) && !strcmp(line + length - strlen(what), what))
			*number = strtoull(line, NULL, 16);
	}
	if (!*number)
		give_up("%s has no%s", path, what);
	fclose(file);
}

static void report_kernel(void)
{
	uint64_t gva, gpa;

	find_number("/proc/kallsyms", " T _text", &gva);
	find_number("/proc/iomem", " : Kernel code", &gpa);
	printf("kernel 0x%" PRIx64 " 0x%" PRIx64 "\n", gva, gpa);
}

static void touch_all(void)
{
	for (size_t i = 0; i < nr_pages; i++) {
		if (pages[i].va && *pages[i].va != pages[i].word) {
			printf("lost %p\n", pages[i].va);
			return;
		}
	}
	printf("done\n");
}

static void give_back(const char *address)
{
	void *va = (void *)strtoull(address, NULL, 16);

	for (size_t i = 0; i < nr_pages; i++)
		if (pages[i].va == va)
			pages[i].va = NULL;
	if (munmap(va, SZ_4K))
		give_up("%p", va);
	printf("done\n");
}

static void spin(void)
{
	int waiting = 0;

	printf("done\n");
	tcdrain(STDOUT_FILENO);
	/* asked for seldom: nearly all the time is ours, not the kernel's */
	while (!waiting) {
		for (unsigned long i = 0; i < 1000000; i++)
			asm volatile("pause");
		if (ioctl(STDIN_FILENO, FIONREAD, &waiting))
			give_up(PORT);
	}
}

static void obey(const char *line)
{
	if (!strcmp(line, "touch"))
		touch_all();
	else if (!strncmp(line, "free ", 5))
		give_back(line + 5);
	else if (!strcmp(line, "spin"))
		spin();
	else
		printf("what is '%s'?\n", line);
}

int main(int argc, char **argv)
{
	char line[64];

	mount_at("devtmpfs", "/dev");
	open_port();
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	/* hugepage_init() in mm/huge_memory.c turns them off where memory is less than 512M */
	if (write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise"))
		give_up("no huge pages");
	if (argc != 2)
		give_up("no marker");
	pagemap = pagemap_open(getpid());
	if (pagemap < 0)
		give_up("pagemap");

	make_pages(strtoull(argv[1], NULL, 16));
	report_kernel();
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		obey(line);
	}
	return 1;
}
