package gateway

import "net/http"

func (s *Server) export(w http.ResponseWriter, r *http.Request) {}
