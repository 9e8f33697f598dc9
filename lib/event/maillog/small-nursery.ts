/**
 * Keeps the part of V8's heap where objects are born at the size that it begins with, 1 MiB twice.
 *
 * V8 lets it grow (to 32 or 64 MiB) by how much survives in it over time, which in the end is always enough. What is read
 * here dies young, and what lives long is not on the heap (`QueueIds`): a larger nursery takes memory and saves nothing. For
 * its effect only; to be imported before the rest.
 */
import { setFlagsFromString } from 'node:v8'

// Asked each time that V8 thinks of growing it, so it may be set now: `--max-semi-space-size` may not.
setFlagsFromString('--semi-space-growth-factor=1')
