"""A script that gives up whatever a submission could do harm with, and then becomes another program; see isolation.py.

On Linux that program gets namespaces of its own: a file system that holds only Python, NumPy and the program and cannot
be written to, no network, and no other process that it could see or signal.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

NOBODY = 65534  # the user and group that root becomes
NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
NO_NEW_PRIVS, SET_SECUREBITS, NOROOT = 38, 28, 3  # NOROOT: the user 0 of a namespace has no rights in it


def enter(level: str, root: str, binds: list, hidden: list, command: list):
    """Become `command`, in a sandbox. Raises OSError when the operating system does not allow this level.

    level: "namespaces", "user" (root becomes nobody) or "none"; root: an empty folder, for the file system; binds: what
    that holds, pairs of a path outside and one inside; hidden: folders that are empty inside.
    """
    is_root = os.getuid() == 0
    if level == "namespaces":
        isolate(is_root)
        pid = os.fork()  # the first process in the namespace: when it ends, all others there do
        if pid:
            guard(pid)
        os.setsid()
        make_root(root, binds, hidden)
        os.chroot(root)
        os.chdir("/")
        libc = ctypes.CDLL(None, use_errno=True)
        checked(libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
        checked(libc.prctl, SET_SECUREBITS, NOROOT, 0, 0, 0)
    if is_root and level != "none":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.execv(command[0], command)  # here all rights in the namespace are lost


def checked(function, *arguments):
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def isolate(is_root: bool):
    uid, gid = os.getuid(), os.getgid()
    flags = NEWNS | NEWPID | NEWNET | NEWIPC
    checked(ctypes.CDLL(None, use_errno=True).unshare, flags if is_root else flags | NEWUSER)
    if not is_root:
        for name, text in ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"):
            Path(f"/proc/self/{name}").write_text(text)
    for name in ("shmmni", "msgmni"):  # shared memory and message queues would not count as memory of the process
        with contextlib.suppress(OSError):
            Path(f"/proc/sys/kernel/{name}").write_text("0")


def guard(pid: int):
    """Wait for the program and end as it does; kill it when the other end of stdin is closed."""
    os.close(1)
    ended = os.pidfd_open(pid)
    if ended not in select.select([0, ended], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status % 256)


def make_root(root, binds, hidden):
    """Mount a read-only file system at `root` that holds what is bound and nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source, target, kind, flags, options=None):
        texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
        checked(libc.mount, *texts[:3], ctypes.c_ulong(flags), texts[3])

    mount(None, "/", None, REC | PRIVATE)
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=1m,mode=755")
    for outside, inside in binds:
        target = root + inside
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(outside):
            os.symlink(os.readlink(outside), target)
            continue
        os.mkdir(target) if os.path.isdir(outside) else Path(target).touch()
        mount(outside, target, None, BIND | REC)
        kept = os.statvfs(outside).f_flag & NOEXEC
        mount(None, target, None, BIND | REMOUNT | RDONLY | NOSUID | NODEV | kept)
    for folder in hidden:
        if os.path.isdir(root + folder):
            mount("tmpfs", root + folder, "tmpfs", RDONLY | NOSUID | NODEV, "size=4k,mode=755")
    mount(None, root, None, BIND | REMOUNT | RDONLY | NOSUID | NODEV)


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        enter(**json.loads(sys.argv[1]))
    sys.exit(1)
