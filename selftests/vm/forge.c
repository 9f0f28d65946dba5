// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a command between which and the module we stand. Ends with its status.
 *
 *   forge abi N COMMAND...     the module seems to speak version N of its ABI
 *   forge short N COMMAND...   each SCAN ends after N pages, each TRANSLATE after N
 *				addresses, as a signal may end them
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../uapi/vminspect.h"

#define PAGE		4096UL
#define LOW_HALF	0xffffffffUL

static struct {
	unsigned long abi;
	unsigned long most;	/* pages or addresses; 0: as many as asked for */
} forged;

/* The command's memory is read and written a word at a time. */
static unsigned long peek(pid_t pid, unsigned long address)
{
	return ptrace(PTRACE_PEEKDATA, pid, address, 0);
}

static void poke(pid_t pid, unsigned long address, unsigned long word)
{
	ptrace(PTRACE_POKEDATA, pid, address, word);
}

/* What a request has been shortened in, to be put back when it has been answered. */
static struct {
	unsigned long address;
	unsigned long word;
} changed;

static void change(pid_t pid, unsigned long address, unsigned long word)
{
	changed.address = address;
	changed.word = peek(pid, address);
	poke(pid, address, word);
}

static void shorten_scan(pid_t pid, unsigned long scan)
{
	unsigned long start = peek(pid, scan + offsetof(struct vminspect_scan, start));
	unsigned long end = scan + offsetof(struct vminspect_scan, end);

	if (peek(pid, end) > start + forged.most * PAGE)
		change(pid, end, start + forged.most * PAGE);
}

/* The upper half of this word is another member. */
static void shorten_translate(pid_t pid, unsigned long translate)
{
	unsigned long nr = translate + offsetof(struct vminspect_translate, nr);
	unsigned long word = peek(pid, nr);

	if ((word & LOW_HALF) > forged.most)
		change(pid, nr, (word & ~LOW_HALF) | forged.most);
}

static void enter(pid_t pid, const struct user_regs_struct *regs)
{
	changed.address = 0;
	if (!forged.most || regs->orig_rax != SYS_ioctl)
		return;
	if (regs->rsi == VMINSPECT_IOC_SCAN)
		shorten_scan(pid, regs->rdx);
	else if (regs->rsi == VMINSPECT_IOC_TRANSLATE)
		shorten_translate(pid, regs->rdx);
}

/* The lower half of this word is the size. */
static void leave(pid_t pid, const struct user_regs_struct *regs)
{
	if (changed.address)
		poke(pid, changed.address, changed.word);
	if (forged.abi && regs->orig_rax == SYS_ioctl && regs->rsi == VMINSPECT_IOC_INFO)
		poke(pid, regs->rdx, (peek(pid, regs->rdx) & LOW_HALF) | forged.abi << 32);
}

/* A system call stops on its way in and on its way out. */
static int trace(pid_t pid)
{
	struct user_regs_struct regs;
	int entered = 0;
	int status;

	/* the first stop is its exec */
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			ptrace(PTRACE_GETREGS, pid, 0, &regs);
			entered = !entered;
			(entered ? enter : leave)(pid, &regs);
		} else {
			ptrace(PTRACE_SETOPTIONS, pid, 0,
			       PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
		}
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wrong_usage(void)
{
	fputs("usage: forge abi|short N COMMAND...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	pid_t pid;

	_Static_assert(offsetof(struct vminspect_info, abi) == 4, "the upper half");
	_Static_assert(offsetof(struct vminspect_translate, nr) % 8 == 0, "a word");

	if (argc < 4)
		return wrong_usage();
	if (!strcmp(argv[1], "abi"))
		forged.abi = atol(argv[2]);
	else if (!strcmp(argv[1], "short"))
		forged.most = atol(argv[2]);
	else
		return wrong_usage();

	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execvp(argv[3], argv + 3);
		perror(argv[3]);
		return 127;
	}
	return trace(pid);
}
