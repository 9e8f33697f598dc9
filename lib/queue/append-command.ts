/**
 * The command that appends entries to a stream, as the bytes that Redis is sent (RESP2): made once, in memory that is used
 * again, and kept there as the record of what was appended.
 *
 * ioredis would join all entries to a string for each command, which is copied when it is written and lives just long enough
 * to be moved to V8's old space: 5 to 10 % of the CPU time of a request to the tracker.
 */
import { Command, type Redis } from 'ioredis'
import type { Piece, Slabs } from './slabs.ts'

/** A Lua script: one command an entry costs this process several times as much CPU, and Redis more too (bench/queue.ts). */
const script = `local id for i = 1, #ARGV do id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end return id`
/** Arguments before the entries: EVAL, script, number of keys, stream. */
const leading = 4
const lineEndBytes = 2

/**
 * @param slabs where it is kept
 * @param entries JSON texts, one at least
 */
export function makeAppend(slabs: Slabs, stream: string, entries: readonly string[]): Piece {
  const head =
    `*${leading + entries.length}\r\n$4\r\nEVAL\r\n$${script.length}\r\n${script}\r\n` +
    `$1\r\n1\r\n$${stream.length}\r\n${stream}\r\n`
  const sizes = entries.map(entry => Buffer.byteLength(entry))
  let size = head.length
  for (const entrySize of sizes) size += bulkStringBytes(entrySize)
  const command = slabs.take(size)
  const { bytes } = command.slab
  let at = command.start + bytes.write(head, command.start, 'latin1')
  for (const [index, entry] of entries.entries()) {
    at += bytes.write(`$${sizes[index]!}\r\n`, at, 'latin1')
    at += bytes.write(entry, at)
    bytes[at++] = 0x0d
    bytes[at++] = 0x0a
  }
  return command
}

/** What a bulk string takes: `$`, the digits of its size, a line end, its bytes, a line end. */
function bulkStringBytes(size: number): number {
  return 1 + String(size).length + lineEndBytes + size + lineEndBytes
}

/** The entries that a command appends. */
export function appendedBy({ slab: { bytes }, start, end }: Piece): string[] {
  const entries: string[] = []
  let at = bytes.indexOf(0x0a, start) + 1
  for (let index = 0; at < end; index++) {
    const text = bytes.indexOf(0x0a, at) + 1
    const length = Number(bytes.toString('latin1', at + 1, text - 2))
    if (index >= leading) entries.push(bytes.toString('utf8', text, text + length))
    at = text + length + lineEndBytes
  }
  return entries
}

/**
 * Sends it.
 * @returns Redis's id of the last entry
 * @throws Error (of ioredis) when it was not confirmed; the piece must not be released then, for it may yet be on its way
 */
export async function sendAppend(redis: Redis, command: Piece): Promise<string> {
  const sent = new MadeCommand(command)
  redis.sendCommand(sent)
  return String(await sent.promise)
}

class MadeCommand extends Command {
  readonly #bytes: Buffer

  constructor({ slab, start, end }: Piece) {
    super('eval', [])
    this.#bytes = slab.bytes.subarray(start, end)
  }

  override toWritable(): Buffer {
    return this.#bytes
  }
}
