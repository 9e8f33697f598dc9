/**
 * The data phase of SMTP, byte for byte: only a dot after CRLF is unstuffed (RFC 5321 §4.5.2). smtp-server's own
 * reading takes a bare LF for the end of a line as well and then loses one of two dots.
 */
import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js'

const lineStart = Buffer.from('\r\n.')
const [cr, lf, dot] = [0x0d, 0x0a, 0x2e]

/** Bytes at the end of a chunk that may turn out to be the beginning of the end: `\r\n.\r`. */
const undecidedBytes = 4

/** Has a connection's parser read messages exactly. The end of data is found just as it was: `\r\n.\r\n` and nothing else. */
export function readDataExactly(parser: SMTPStream): void {
  // What goes on may end the next message at once, when all of it was pipelined, and then has set this anew:
  // smtp-server's own forgets it afterwards, and the connection stands still.
  parser.continue = () => {
    const goOn = parser._continueCallback
    parser._continueCallback = typeof goOn !== 'function'
    if (typeof goOn === 'function') goOn()
  }
  parser._feedDataStream = (arrived, done) => {
    const chunk = parser._lastBytes ? Buffer.concat([parser._lastBytes, arrived]) : arrived
    parser._lastBytes = false
    const kept: Buffer[] = []
    let from = 0
    let end: number | undefined
    if (parser._atDataStart) {
      // The first line has no CRLF before it.
      if (chunk.length < 3 && chunk[0] === dot) {
        parser._lastBytes = chunk
        done()
        return
      }
      if (chunk[0] === dot && chunk[1] === cr && chunk[2] === lf) end = 3
      else if (chunk[0] === dot && chunk[1] === dot) {
        from = 1
        parser._atDataStart = false
      }
    }
    for (let at = chunk.indexOf(lineStart, from); end === undefined && at >= 0; at = chunk.indexOf(lineStart, at + 2)) {
      if (chunk[at + 3] === dot) {
        kept.push(chunk.subarray(from, at + 2))
        from = at + 3
      } else if (chunk[at + 3] === cr && chunk[at + 4] === lf) {
        kept.push(chunk.subarray(from, at + 2))
        end = at + 5
      }
    }
    if (end === undefined) {
      const undecided = Math.max(from, chunk.length - undecidedBytes)
      kept.push(chunk.subarray(from, undecided))
      parser._lastBytes = chunk.subarray(undecided)
    }
    const content = Buffer.concat(kept)
    parser._countDataBytes(content.length)
    if (end === undefined) pass(parser, content, done)
    else parser._endDataMode(content, chunk.subarray(end), done)
  }
}

/** Hands content on and waits for a reader that is slow; one that has gone away is waited for no longer. */
function pass(parser: SMTPStream, content: Buffer, done: () => void): void {
  const stream = parser._dataStream
  if (!stream || content.length === 0 || !stream.writable || stream.write(content) || stream.destroyed) {
    done()
    return
  }
  const resume = () => {
    stream.off('drain', resume)
    stream.off('close', resume)
    done()
  }
  stream.once('drain', resume).once('close', resume)
}
