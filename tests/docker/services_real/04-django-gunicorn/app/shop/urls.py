from django.http import HttpResponse, JsonResponse
from django.urls import path

ARTICLES = [{"id": 1, "name": "Teapot", "cents": 3490}, {"id": 2, "name": "Cup", "cents": 890}]


def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def articles(request):
    return JsonResponse({"host": request.get_host(), "articles": ARTICLES})


urlpatterns = [path("healthz", healthz), path("articles", articles)]
