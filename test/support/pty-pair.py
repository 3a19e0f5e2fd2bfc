"""Two serial ports that are joined by a cable, as pseudo terminals. Prints their paths, and ends with its standard input."""
import os, pty, select, sys, tty

ends = [pty.openpty() for _ in range(2)]
for _, slave in ends:
    tty.setraw(slave)
print(*(os.ttyname(slave) for _, slave in ends), flush=True)
first, second = (master for master, _ in ends)
while True:
    ready, _, _ = select.select([first, second, sys.stdin], [], [])
    if sys.stdin in ready:
        break
    for source in ready:
        os.write(second if source == first else first, os.read(source, 4096))
