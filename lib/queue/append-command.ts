/**
 * The command that appends entries to a stream, as the bytes that Redis is sent (RESP2): made once, in memory that is used
 * again, and kept there as the record of what was appended.
 *
 * ioredis would join all entries to a string for each command, which is copied when it is written and lives just long enough
 * to be moved to V8's old space: 5 to 10 % of the CPU time of a request to the tracker.
 */
import { Command, type Redis } from 'ioredis'
import type { TextSlabs, Piece } from './text-slabs.ts'

/** A Lua script: one command an entry costs this process several times as much CPU, and Redis more too (bench/queue.ts). */
const script = `local id for i = 1, #ARGV do id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end return id`
/** Arguments before the entries: EVAL, script, number of keys, stream. */
const leading = 4

/**
 * @param slabs where it is kept
 * @param entries JSON texts, one at least
 */
export function makeAppend(slabs: TextSlabs, stream: string, entries: readonly string[]): Piece {
  const head =
    `*${leading + entries.length}\r\n$4\r\nEVAL\r\n$${script.length}\r\n${script}\r\n` +
    `$1\r\n1\r\n$${stream.length}\r\n${stream}\r\n`
  let bytesMax = head.length
  // UTF-8 takes at most three bytes a unit.
  for (const entry of entries) bytesMax += 3 * entry.length + lengthBytesMax
  return slabs.take(bytesMax, (bytes, start) => {
    let at = start + bytes.write(head, start, 'latin1')
    for (const entry of entries) {
      at += bytes.write(`$${Buffer.byteLength(entry)}\r\n`, at, 'latin1')
      at += bytes.write(entry, at)
      bytes[at++] = 0x0d
      bytes[at++] = 0x0a
    }
    return at
  })
}

/** `$`, ten digits, two line ends. */
const lengthBytesMax = 15

/** The entries that a command appends. */
export function appendedBy({ slab: { bytes }, start, end }: Piece): string[] {
  const entries: string[] = []
  let at = bytes.indexOf(0x0a, start) + 1
  for (let index = 0; at < end; index++) {
    const text = bytes.indexOf(0x0a, at) + 1
    const length = Number(bytes.toString('latin1', at + 1, text - 2))
    if (index >= leading) entries.push(bytes.toString('utf8', text, text + length))
    at = text + length + 2
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
