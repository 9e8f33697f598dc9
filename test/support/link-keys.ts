/** A key file of a test's own. */
import { randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'

/** A line of a key file; `secret` has 32 bytes. */
export function keyLine(id: string, state: 'signing' | 'verifying' | 'revoked', secret: Uint8Array = randomBytes(32)) {
  return `${id} ${state} 2026-01-01T00:00:00Z ${Buffer.from(secret).toString('base64')}\n`
}

/** Writes it with the mode that a key file must have. */
export function writeKeyFile(file: string, ...lines: readonly string[]): string {
  writeFileSync(file, lines.join(''))
  chmodSync(file, 0o640)
  return file
}
