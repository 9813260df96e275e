package webhook

import "net/http"

// Via has messages go over another transport than TCP.
func (w *Webhook) Via(t http.RoundTripper) { w.sender.client.Transport = t }
