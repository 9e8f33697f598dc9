/** Runs linktool as its users do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after } from 'node:test'
import { startProcess } from '../support/process.ts'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const root = resolve(import.meta.dirname, '../..')
/** What the machine that runs the tests may have set. */
const noEnv = { LINK_KEYS_FILE: undefined, TRACKING_URL: undefined, LOG_LEVEL: undefined }

export async function linktool(
  args: readonly string[],
  input = '',
  env: Record<string, string> = {},
): Promise<Outcome> {
  const started = await startProcess('node', ['cmd/linktool.ts', ...args], {
    cwd: root,
    input,
    env: { ...noEnv, ...env },
  })
  const { code } = await started.exited
  return { code, ...started.output }
}

/** A folder that is gone after the tests of the file. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'linktool-'))
  after(() => rmSync(dir, { recursive: true }))
  return dir
}
