/** The database can't be opened; the message names it and the fix. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
}
