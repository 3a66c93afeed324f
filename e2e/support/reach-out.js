/**
 * Tries every way out of a page or a worker that a script has, to the origin given. It is evaluated in the tab as
 * it stands, so it is plain JavaScript that no build touches. Each attempt may fail as it likes; who was reached
 * is for the other side to say. Returns the names of the ways that it tried.
 */
globalThis.reachOut = async (origin) => {
  const tried = []
  const attempt = async (name, act) => {
    tried.push(name)
    const patience = new Promise((resolve) => setTimeout(resolve, 1000))
    try {
      await Promise.race([act(`${origin}/${name}`), patience])
    } catch {
      // Refused, which is what is hoped for.
    }
  }
  const settled = (target, ...events) =>
    new Promise((resolve) => {
      for (const event of events) target.addEventListener(event, resolve)
    })

  await attempt('fetch', (url) => fetch(url, { mode: 'no-cors' }))
  await attempt('fetch-cors', (url) => fetch(url))
  await attempt('post', (url) => fetch(url, { method: 'POST', body: 'x', mode: 'no-cors', keepalive: true }))
  await attempt('xhr', (url) => {
    const request = new XMLHttpRequest()
    request.open('POST', url)
    request.send('x')
    return settled(request, 'loadend')
  })
  await attempt('socket', (url) => settled(new WebSocket(url.replace('http', 'ws')), 'open', 'error'))
  await attempt('events', (url) => settled(new EventSource(url), 'open', 'error'))
  await attempt('import', (url) => import(url))
  await attempt('worker', (url) => settled(new Worker(url, { type: 'module' }), 'message', 'error'))
  await attempt('blob-worker', (url) => {
    const blob = new Blob([`fetch('${url}', { mode: 'no-cors' }).finally(() => postMessage(0))`])
    return settled(new Worker(URL.createObjectURL(blob)), 'message', 'error')
  })
  if (typeof document === 'undefined') return tried

  await attempt('beacon', (url) => navigator.sendBeacon(url, 'x'))
  await attempt('image', (url) => {
    const image = new Image()
    image.src = url
    return settled(image, 'load', 'error')
  })
  for (const [tag, attribute] of [
    ['script', 'src'],
    ['iframe', 'src'],
    ['object', 'data'],
    ['embed', 'src'],
    ['video', 'src'],
    ['audio', 'src'],
  ]) {
    await attempt(tag, (url) => {
      const element = document.createElement(tag)
      element.setAttribute(attribute, url)
      document.body.append(element)
      return settled(element, 'load', 'error')
    })
  }
  for (const rel of ['stylesheet', 'icon', 'prefetch', 'preload', 'modulepreload', 'manifest']) {
    await attempt(`link-${rel}`, (url) => {
      const link = document.createElement('link')
      link.rel = rel
      link.href = url
      if (rel === 'preload') link.as = 'fetch'
      document.head.append(link)
      return settled(link, 'load', 'error')
    })
  }
  await attempt('style', (url) => {
    document.body.style.backgroundImage = `url(${url})`
    return new Promise((resolve) => setTimeout(resolve, 200))
  })
  await attempt('font', (url) => new FontFace('elsewhere', `url(${url})`).load())
  await attempt('form', (url) => {
    const form = document.createElement('form')
    form.action = url
    form.method = 'post'
    form.target = 'elsewhere'
    document.body.append(form)
    form.submit()
    return new Promise((resolve) => setTimeout(resolve, 300))
  })
  return tried
}
