/** The queue id that a message went on as, in the text that goes with `sent`. */
import { queueIdEnd } from './queue-id.ts'

/**
 * Where the id begins that the last `queued as ID` or `forwarded as ID` of the text names, or -1.
 * @param line holds the text from `from` to `to`
 */
export function nextQueueId(line: string, from: number, to: number): number {
  let mark = line.lastIndexOf('ed as ', to)
  while (mark >= from && !line.endsWith('queu', mark) && !line.endsWith('forward', mark))
    mark = mark === 0 ? -1 : line.lastIndexOf('ed as ', mark - 1)
  if (mark < from) return -1
  const id = mark + 'ed as '.length
  return queueIdEnd(line, id, to) === -1 ? -1 : id
}
