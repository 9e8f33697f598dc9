/** Ends the test run red when a process that it started is still alive, and ends that process. */
import { readdirSync, readFileSync } from 'node:fs'

const mark = `MTA_TRACKING_TEST_RUN=${process.env['MTA_TRACKING_TEST_RUN'] ?? '?'}\0`
const deadlineMs = performance.now() + 5_000

function alive(): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => pid !== process.pid && pid !== process.ppid && bearsMark(pid))
}

function bearsMark(pid: number): boolean {
  try {
    return `${readFileSync(`/proc/${pid}/environ`, 'latin1')}\0`.includes(mark)
  } catch {
    return false
  }
}

let left = alive()
// What was told to end gets a moment to do so.
while (left.length > 0 && performance.now() < deadlineMs) {
  await new Promise(resolve => setTimeout(resolve, 100))
  left = alive()
}
for (const pid of left) {
  let command = ''
  try {
    command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
    process.kill(pid, 'SIGKILL')
  } catch {
    continue
  }
  console.error(`left behind by the tests, now killed: ${pid} ${command}`)
  process.exitCode = 1
}
