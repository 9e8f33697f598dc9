/**
 * Keeps V8's heap close to what is alive in it. For its effect only; to be imported before the rest.
 *
 * What is read here dies young, and what lives long is not on the heap (`QueueIds`). V8 is made for the opposite: it lets
 * the space where objects are born grow (to 32 or 64 MiB) by how much survives in it over time, which in the end is always
 * enough; and it lets garbage of tens of megabytes, and of as many of buffers, come together before it collects that of
 * what has survived for a while. A collection takes 20 ms here; more of them cost a tenth of the CPU time while the agent
 * catches up, and nothing otherwise.
 */
import { setFlagsFromString } from 'node:v8'

// Asked each time that V8 thinks of growing it, so it may be set now: `--max-semi-space-size` may not. 1 MiB twice.
setFlagsFromString('--semi-space-growth-factor=1')
// Percent that the rest may grow by between two collections.
setFlagsFromString('--heap-growing-percent=10')
// Buffers count as part of it. Versions of V8 that do not know the flag would print an error.
if (Number.parseInt(process.versions.v8) >= 14) setFlagsFromString('--external-memory-accounted-in-global-limit')
