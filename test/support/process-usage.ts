/** CPU time and memory of a running process, from proc(5). */
import { readFileSync } from 'node:fs'

export interface ProcessUsage {
  /** Since it began, in seconds. */
  readonly cpuSeconds: number
  /** Most memory that it ever held, in MB. */
  readonly peakMb: number
}

/** Undefined when the process is gone. */
export function processUsage(pid: number): ProcessUsage | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]
    // Of a process that has just ended there is no memory left to tell of.
    if (peak === undefined) return undefined
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
      peakMb: Number(peak) / 1024,
    }
  } catch {
    return undefined
  }
}
