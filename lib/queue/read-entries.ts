/**
 * The contents of entries whose ids are known. XREADGROUP and XAUTOCLAIM can be bounded by a number of entries only, and an
 * entry may have half a gigabyte: this reads as many as fit, and of one that can be no event only the beginning.
 */
import type { Redis } from 'ioredis'
import { eventCharsMax } from '../event/read-event.ts'
import { excerptBytes, type EntryReply } from './queue-entry.ts'
import { ranScript } from './ran-script.ts'

/** Looked at at once, in bytes; the last entry may go beyond it. */
const bytesMax = 1_000_000
/** Entries of more bytes have more than `eventCharsMax` characters, in whatever script: three bytes each at most. */
const entryBytesMax = 3 * eventCharsMax

const readScript = `
  local replies, bytes = {}, 0
  for i = 4, #ARGV do
    local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
    local reply = {ARGV[i], false}
    if entry then
      local size = 0
      for _, text in ipairs(entry[2]) do size = size + #text end
      bytes = bytes + size
      if size <= tonumber(ARGV[2]) then
        reply[2] = entry[2]
      else
        reply[2] = {entry[2][1]:sub(1, tonumber(ARGV[3])), entry[2][2]:sub(1, tonumber(ARGV[3]))}
        reply[3] = size
      end
    end
    replies[#replies + 1] = reply
    if bytes >= tonumber(ARGV[1]) then break end
  end
  return replies`

/**
 * Reads a beginning of these entries, one at least; those that are not in the stream come without fields. Where scripts are
 * forbidden each entry is read whole, whatever its size.
 * @param ids one at least
 * @throws Error when Redis does not answer as it should
 */
export async function readEntries(redis: Redis, stream: string, ids: readonly string[]): Promise<EntryReply[]> {
  const limits = [bytesMax, entryBytesMax, excerptBytes].map(String)
  const result = await ranScript(redis, readScript, [stream], [...limits, ...ids])
  if (result) return result.value as EntryReply[]
  const replies: EntryReply[] = []
  let chars = 0
  for (const id of ids) {
    const [entry] = await redis.xrange(stream, id, id)
    replies.push(entry ?? [id, null])
    chars += entry?.[1].reduce((sum, text) => sum + text.length, 0) ?? 0
    if (chars >= bytesMax) break
  }
  return replies
}
