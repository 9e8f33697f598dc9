/** What the Node that runs the tests does with types. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Whether this Node's compile cache holds sources without their types, so that what strips them is not loaded again
 * (26 does, 22.19 does not).
 */
export function keepsStrippedTypes(): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'stripped-'))
  try {
    const file = join(dir, 'probe.mts')
    writeFileSync(file, 'const list: unknown = process.moduleLoadList\nconsole.log(String(list))\n')
    const run = () =>
      spawnSync(process.execPath, [file], { env: { ...process.env, NODE_COMPILE_CACHE: dir }, encoding: 'utf8' }).stdout
    run()
    return !run().includes('amaro')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
