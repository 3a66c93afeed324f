/**
 * A self-signed certificate for `host --https`: browsers give WebGPU only to secure contexts, and a class on a
 * LAN has no domain name. It is kept in the data folder, so that a browser told once to accept it stays content,
 * and made anew when it runs out or lacks an address of this machine.
 */
import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { CliError, fileError } from './errors.ts'

export interface Tls {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

const DAY_MS = 24 * 60 * 60 * 1000

/** Apple's devices refuse certificates valid for longer than 825 days; Chrome has no limit for self-signed ones. */
const VALID_DAYS = 397

/** Made anew this long before it ends, so that it does not run out during a round. */
const RENEW_DAYS = 14

/** `addresses` are IP addresses besides the loopback ones. */
export async function selfSignedCertificate(folder: string, addresses: readonly string[]): Promise<Tls> {
  const names = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem') }
  const kept = await readIfPresent(names)
  if (kept && covers(kept, addresses)) return kept
  const made = await create(addresses)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(names.key, made.key, { mode: 0o600 })
    // The mode above holds only for a new file.
    await chmod(names.key, 0o600)
    await writeFile(names.cert, made.cert)
  } catch (error) {
    throw fileError('write', folder, error)
  }
  return made
}

/** What `--cert` and `--key` name. */
export async function readCertificate(certFile: string, keyFile: string): Promise<Tls> {
  const tls = { cert: await readText(certFile), key: await readText(keyFile) }
  try {
    new X509Certificate(tls.cert)
  } catch (error) {
    throw new CliError('tls/certificate', `${certFile} is not a certificate in PEM form; check --cert.`, {
      cause: error,
    })
  }
  return tls
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw fileError('read', file, error)
  }
}

async function readIfPresent(names: Readonly<Record<keyof Tls, string>>): Promise<Tls | null> {
  try {
    return { cert: await readFile(names.cert, 'utf8'), key: await readFile(names.key, 'utf8') }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw fileError('read', names.cert, error)
  }
}

function covers({ cert }: Tls, addresses: readonly string[]): boolean {
  const certificate = new X509Certificate(cert)
  const inTime = Date.parse(certificate.validTo) > Date.now() + RENEW_DAYS * DAY_MS
  return inTime && addresses.every((address) => certificate.checkIP(address) !== undefined)
}

async function create(addresses: readonly string[]): Promise<Tls> {
  // Loaded only here: the other commands and plain HTTP need no X.509.
  const { generate } = await import('selfsigned')
  const made = await generate([{ name: 'commonName', value: 'oneround' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    // A clock of a client may be behind.
    notBeforeDate: new Date(Date.now() - DAY_MS),
    notAfterDate: new Date(Date.now() + VALID_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          ...['127.0.0.1', '::1', ...addresses].map((ip) => ({ type: 7 as const, ip })),
        ],
      },
    ],
  })
  return { cert: made.cert, key: made.private }
}
