/** The addresses at which other machines of the local network reach this one. */
import { networkInterfaces } from 'node:os'

/** IPv4 first on ordinary interfaces, then on virtual ones (containers, VPNs), which others rarely reach. */
export function lanAddresses(interfaces = networkInterfaces()): string[] {
  const ordinary: string[] = []
  const virtual: string[] = []
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    for (const { address, family, internal } of addresses) {
      if (internal || family !== 'IPv4' || address.startsWith('169.254.')) continue
      const list = /^(docker|br-|veth|virbr|vmnet|vboxnet|utun|tun|tap|wg|zt)/.test(name) ? virtual : ordinary
      list.push(address)
    }
  }
  return [...ordinary, ...virtual]
}
